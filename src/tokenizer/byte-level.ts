import { template } from "./post-processor.ts";
import type { JsonObject } from "./types.ts";

/** How Qwen2's class cuts a text into words, as its published tokenizer.json has it. */
const QWEN2_WORDS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** What stands around a byte-level BPE from vocab.json and merges.txt, which hold nothing of it: by class. */
export function byteLevelPipeline(config: JsonObject, vocab: ReadonlyMap<string, number>): JsonObject {
  const className = typeof config.tokenizer_class === "string" ? config.tokenizer_class : "";
  const addPrefixSpace = config.add_prefix_space === true;
  const byteLevel = { type: "ByteLevel", add_prefix_space: addPrefixSpace, trim_offsets: true, use_regex: true };
  const common = { normalizer: null, pre_tokenizer: byteLevel, decoder: byteLevel };
  if (className.startsWith("Qwen2")) {
    const words = { type: "Split", pattern: { Regex: QWEN2_WORDS }, behavior: "Isolated", invert: false };
    const bytes = { type: "ByteLevel", add_prefix_space: addPrefixSpace, trim_offsets: false, use_regex: false };
    return {
      normalizer: { type: "NFC" },
      pre_tokenizer: { type: "Sequence", pretokenizers: [words, bytes] },
      post_processor: bytes,
      decoder: bytes,
    };
  }
  if (/^(Roberta|Bart|Longformer|LED|Blenderbot)/.test(className)) {
    const pair = (token: string) => [token, vocab.get(token) ?? 0];
    const processor = { trim_offsets: true, add_prefix_space: addPrefixSpace };
    return {
      ...common,
      post_processor: { type: "RobertaProcessing", sep: pair("</s>"), cls: pair("<s>"), ...processor },
    };
  }
  const bos = typeof config.bos_token === "string" ? config.bos_token : "<|endoftext|>";
  const framed = config.add_bos_token === true ? template([bos], [], vocab) : null;
  return { ...common, post_processor: framed ?? { ...byteLevel, trim_offsets: false } };
}
