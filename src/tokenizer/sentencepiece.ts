import { FormatError } from "../model/format-error.ts";
import { template } from "./post-processor.ts";
import { PIECE, readSentencePiece, type SentencePieceModel } from "./sentencepiece-model.ts";
import { badTokenizer, type TokenizerCore } from "./tokenizer-json.ts";
import type { AddedToken, JsonObject, Merge } from "./types.ts";

const META = "▁";
/** T5's sentinels, `<extra_id_99>` down to `<extra_id_0>`, follow the pieces. */
const T5_SENTINELS = 100;
const MAX_SENTINELS = 100_000;
/** In characters. SentencePiece itself makes none longer than 16 unless it is told to; finding merges takes their square. */
const MAX_PIECE = 1024;
/** Classes whose ids are not the positions of the pieces. */
const SHIFTED_IDS =
  /^(XLMRoberta|Camembert|MBart|MBart50|Nllb|Barthez|Pegasus|XGLM|XLNet|Albert|BigBird|M2M100|Marian)/;

/**
 * Turns a SentencePiece model into what tokenizer.json would say: the same pieces, ids and scores, the normaliser's
 * settings as `tokenizers` spells them, and for BPE the merges that the scores stand for.
 * @param config tokenizer_config.json, for the class and what it adds to a text.
 * @throws FormatError
 */
export function convertSentencePiece(bytes: Uint8Array, config: JsonObject): TokenizerCore {
  const className = typeof config.tokenizer_class === "string" ? config.tokenizer_class : "";
  if (SHIFTED_IDS.test(className)) {
    throw new FormatError(
      "bad-tokenizer",
      `${className} gives its pieces other ids than the file does`,
      "save the tokenizer with transformers (save_pretrained): it writes tokenizer.json",
    );
  }
  const model = readSentencePiece(bytes);
  const isT5 = /^(M|U)?T5/i.test(className);
  const pieces = isT5 ? withSentinels(model, config) : model;
  const vocab = new Map<string, number>();
  pieces.pieces.forEach(({ text }, id) => {
    if (vocab.has(text)) throw badTokenizer(`the token ${JSON.stringify(text)} is named twice`);
    vocab.set(text, id);
  });
  const unknown = pieces.pieces.findIndex(({ type }) => type === PIECE.unknown);
  const unknownText = pieces.pieces[unknown]?.text ?? null;
  const isBpe = model.kind === "BPE";
  return {
    kind: model.kind,
    vocab,
    merges: isBpe ? mergesOf(pieces, vocab) : [],
    mergesAsText: false,
    scores: isBpe ? [] : pieces.pieces.map(({ score }) => score),
    added: addedTokens(pieces),
    model: isBpe
      ? {
          dropout: null,
          unk_token: unknownText,
          continuing_subword_prefix: null,
          end_of_word_suffix: null,
          fuse_unk: true,
          byte_fallback: model.byteFallback,
          ignore_merges: false,
        }
      : { unk_id: unknown < 0 ? null : unknown, byte_fallback: model.byteFallback },
    pipeline: {
      ...(isBpe ? bpePipeline(model) : unigramPipeline(model)),
      post_processor: frame(vocab, className, config),
    },
  };
}

function withSentinels(model: SentencePieceModel, config: JsonObject): SentencePieceModel {
  const count = typeof config.extra_ids === "number" ? config.extra_ids : T5_SENTINELS;
  if (!(Number.isInteger(count) && count >= 0 && count <= MAX_SENTINELS)) {
    throw badTokenizer(
      `extra_ids of tokenizer_config.json is ${count}, and must be a number of tokens (0 to ${MAX_SENTINELS})`,
    );
  }
  if (model.pieces.some(({ text }) => text === "<extra_id_0>")) return model;
  const sentinels = Array.from({ length: count }, (_, i) => ({
    text: `<extra_id_${count - 1 - i}>`,
    score: 0,
    type: PIECE.control as number,
  }));
  return { ...model, pieces: [...model.pieces, ...sentinels] };
}

function addedTokens({ pieces }: SentencePieceModel): AddedToken[] {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return pieces.flatMap(({ text, type }, id) => {
    if (type !== PIECE.control && type !== PIECE.userDefined && type !== PIECE.unknown) return [];
    return [{ id, content: text, ...flags, special: type !== PIECE.userDefined }];
  });
}

/**
 * SentencePiece joins the two neighbours whose joined text has the best score. As a list: every way to split a piece
 * in two pieces, the best scores first; among equals the longer left part first, as transformers' conversion has it.
 */
function mergesOf({ pieces }: SentencePieceModel, vocab: ReadonlyMap<string, number>): Merge[] {
  const usable = new Map(
    pieces.flatMap(({ text, type }) =>
      type === PIECE.normal || type === PIECE.unused ? [[text, vocab.get(text) ?? 0]] : [],
    ),
  );
  const found: { merge: Merge; score: number; left: number; right: number }[] = [];
  for (const { text, score, type } of pieces) {
    if (type !== PIECE.normal && type !== PIECE.unused) continue;
    const characters = [...text];
    if (characters.length > MAX_PIECE) {
      throw badTokenizer(`a piece has ${characters.length} characters: more than ${MAX_PIECE}`);
    }
    const own: typeof found = [];
    for (let i = 1; i < characters.length; i++) {
      const left = characters.slice(0, i).join("");
      const right = characters.slice(i).join("");
      if (!usable.has(left) || !usable.has(right)) continue;
      own.push({ merge: [left, right], score, left: i, right: characters.length - i });
    }
    const id = (token: string) => usable.get(token) ?? 0;
    found.push(...own.sort((a, b) => id(a.merge[0]) - id(b.merge[0]) || id(a.merge[1]) - id(b.merge[1])));
  }
  found.sort((a, b) => b.score - a.score || b.left - a.left || b.right - a.right);
  return found.map(({ merge }) => merge);
}

function normalizers({ charsmap, removeExtraWhitespaces }: SentencePieceModel): JsonObject[] {
  const list: JsonObject[] = [];
  if (charsmap.length > 0)
    list.push({ type: "Precompiled", precompiled_charsmap: Buffer.from(charsmap).toString("base64") });
  if (removeExtraWhitespaces) {
    list.push({ type: "Strip", strip_left: true, strip_right: true });
    list.push({ type: "Replace", pattern: { Regex: " {2,}" }, content: " " });
  }
  return list;
}

/** Blanks become part of the pieces, and BPE sees the text in one piece, as SentencePiece does. */
function bpePipeline(model: SentencePieceModel): JsonObject {
  const { addDummyPrefix } = model;
  const list = normalizers(model);
  if (addDummyPrefix) list.push({ type: "Prepend", prepend: META });
  list.push({ type: "Replace", pattern: { String: " " }, content: META });
  const decoders: JsonObject[] = [
    { type: "Replace", pattern: { String: META }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
  ];
  if (addDummyPrefix) decoders.push({ type: "Strip", content: " ", start: 1, stop: 0 });
  return {
    normalizer: { type: "Sequence", normalizers: list },
    pre_tokenizer: null,
    decoder: { type: "Sequence", decoders },
  };
}

function unigramPipeline(model: SentencePieceModel): JsonObject {
  const metaspace = {
    type: "Metaspace",
    replacement: META,
    prepend_scheme: model.addDummyPrefix ? "always" : "never",
    split: true,
  };
  const list = normalizers(model);
  return {
    normalizer: list.length > 0 ? { type: "Sequence", normalizers: list } : null,
    pre_tokenizer: metaspace,
    decoder: metaspace,
  };
}

/** What the class puts before and after a text, by tokenizer_config.json, else by the class's habit. */
function frame(vocab: ReadonlyMap<string, number>, className: string, config: JsonObject): JsonObject | null {
  const name = (role: string, usual: string) => (typeof config[role] === "string" ? (config[role] as string) : usual);
  const bos = name("bos_token", className.startsWith("Gemma") ? "<bos>" : "<s>");
  const eos = name("eos_token", className.startsWith("Gemma") ? "<eos>" : "</s>");
  const byClass = { bos: /^(Llama|CodeLlama|Gemma)/.test(className), eos: /^(M|U)?T5/i.test(className) };
  const before = config.add_bos_token ?? byClass.bos;
  const after = config.add_eos_token ?? byClass.eos;
  return template(before === true ? [bos] : [], after === true ? [eos] : [], vocab);
}
