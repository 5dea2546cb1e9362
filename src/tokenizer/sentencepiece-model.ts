import { type ProtoField, protoFields } from "./protobuf.ts";
import { badTokenizer } from "./tokenizer-json.ts";

/** What a piece is for, as sentencepiece_model.proto numbers it. */
export const PIECE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface Piece {
  text: string;
  /** Unigram: a log probability. BPE: minus the position among the merges. */
  score: number;
  type: number;
}

/** The parts of a SentencePiece `tokenizer.model` that a conversion needs. Absent fields have the format's defaults. */
export interface SentencePieceModel {
  pieces: readonly Piece[];
  kind: "Unigram" | "BPE";
  byteFallback: boolean;
  /** The normalisation that `tokenizers` knows as Precompiled; empty for identity. */
  charsmap: Uint8Array;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
}

/**
 * Reads a SentencePiece model (sentencepiece_model.proto: pieces are field 1, the trainer's settings 2, the
 * normaliser's 3).
 * @throws FormatError where it is none, or of a kind that `tokenizers` has no counterpart of.
 */
export function readSentencePiece(bytes: Uint8Array): SentencePieceModel {
  const pieces: Piece[] = [];
  let trainer = new Map<number, ProtoField["value"]>();
  let normalizer = new Map<number, ProtoField["value"]>();
  for (const { field, value } of protoFields(bytes)) {
    if (typeof value === "number") continue;
    if (field === 1) pieces.push(readPiece(value));
    else if (field === 2) trainer = fieldMap(value);
    else if (field === 3) normalizer = fieldMap(value);
  }
  if (pieces.length === 0) throw badTokenizer("it holds no pieces: it is no SentencePiece model");
  const type = trainer.get(3) ?? 1;
  if (type !== 1 && type !== 2) throw badTokenizer("its model is neither Unigram nor BPE");
  const charsmap = normalizer.get(2);
  return {
    pieces,
    kind: type === 1 ? "Unigram" : "BPE",
    byteFallback: trainer.get(35) === 1,
    charsmap: charsmap instanceof Uint8Array ? charsmap : new Uint8Array(),
    addDummyPrefix: normalizer.get(3) !== 0,
    removeExtraWhitespaces: normalizer.get(4) !== 0,
  };
}

const utf8 = new TextDecoder();

function readPiece(bytes: Uint8Array): Piece {
  const fields = fieldMap(bytes);
  const text = fields.get(1);
  const score = fields.get(2) ?? 0;
  const type = fields.get(3) ?? PIECE.normal;
  if (!(text instanceof Uint8Array) || typeof score !== "number" || typeof type !== "number") {
    throw badTokenizer("a piece has no text: it is no SentencePiece model");
  }
  return { text: utf8.decode(text), score, type };
}

function fieldMap(bytes: Uint8Array): Map<number, ProtoField["value"]> {
  return new Map([...protoFields(bytes)].map(({ field, value }) => [field, value]));
}
