import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Expected, ExpectedTensor, Kit } from "./kit.ts";

type Ids = ReadonlyMap<string, number>;

interface TokenizerJson {
  model: { vocab: Record<string, number> };
  added_tokens: { content: string; id: number }[];
}

/** Every token's id by a folder's tokenizer.json. */
export function tokenIds(folder: string): Ids {
  const { model, added_tokens: added } = JSON.parse(
    readFileSync(join(folder, "tokenizer.json"), "utf8"),
  ) as TokenizerJson;
  return new Map([...Object.entries(model.vocab), ...added.map(({ content, id }) => [content, id] as const)]);
}

/** The ids of the reference's output; undefined where it wrote no tokenizer of its own. */
export function recordedIds(kit: Kit, name: string): Ids | undefined {
  const folder = join(kit.folder, "cases", name, "expected");
  return existsSync(join(folder, "tokenizer.json")) ? tokenIds(folder) : undefined;
}

/** The same tokens, and the same ids where the reference's do not depend on chance. */
export function vocabularyFaults(theirs: Ids | undefined, ours: Ids | undefined, byChance: boolean): string[] {
  if (theirs === undefined || ours === undefined) return [];
  const missing = [...theirs.keys()].filter((token) => !ours.has(token));
  const surplus = [...ours.keys()].filter((token) => !theirs.has(token));
  const moved = byChance ? [] : [...theirs].filter(([token, id]) => ours.get(token) !== id);
  return [
    ...(missing.length > 0 ? [`the tokenizer lacks ${missing.slice(0, 3)}`] : []),
    ...(surplus.length > 0 ? [`the tokenizer has ${surplus.slice(0, 3)} too many`] : []),
    ...(moved.length > 0 ? [`the tokenizer has other ids for ${moved.slice(0, 3)}`] : []),
  ];
}

/** What the reference wrote, with the rows of embeddings and heads where our tokenizer has their tokens. */
export function byToken(expected: Expected, theirs: Ids | undefined, ours: Ids | undefined): Expected {
  if (theirs === undefined || ours === undefined) return expected;
  const from = new Map([...theirs].map(([token, id]) => [ours.get(token) ?? id, id]));
  const tensors = new Map(
    [...expected.tensors].map(([name, tensor]) => [
      name,
      /embed_tokens|lm_head/.test(name) ? permuted(tensor, from) : tensor,
    ]),
  );
  return { ...expected, tensors };
}

function permuted(tensor: ExpectedTensor, from: ReadonlyMap<number, number>): ExpectedTensor {
  const { stored, shape } = tensor;
  if (stored === undefined) return tensor;
  const width = stored.bytes.length / (shape[0] as number);
  const bytes = new Uint8Array(stored.bytes.length);
  for (let row = 0; row < (shape[0] as number); row++) {
    const at = from.get(row) ?? row;
    bytes.set(stored.bytes.subarray(at * width, (at + 1) * width), row * width);
  }
  return { ...tensor, stored: { ...stored, bytes } };
}
