import type { Encoder } from "../tokenizer/encode.ts";
import type { SubwordMethod } from "./methods.ts";
import { keyOf, type Token, type Vocabulary } from "./vocabulary.ts";

/** Sums of rows, as `NativeTransplant.pieces` takes them. */
export interface Pieces {
  ends: Uint32Array;
  rows: Uint32Array;
  weights: Float64Array;
}

/**
 * The model's own rows that stand for the text of each token, and how much each counts.
 * @param rows that the matrix has: ids beyond them are left out.
 * @param isHead whether the rows are those of a head, which a token's first piece matters most for.
 */
export function cutTokens(
  tokens: readonly Token[],
  own: Vocabulary,
  encoder: Encoder,
  { method, rows, isHead }: { method: SubwordMethod; rows: number; isHead: boolean },
): Pieces {
  const ends: number[] = [];
  const all: number[] = [];
  const weights: number[] = [];
  for (const token of tokens) {
    const ids = idsOf(token, own, encoder).filter((id) => id < rows);
    const shares = weigh(ids.length, method, isHead);
    ids.forEach((id, i) => {
      if (shares[i] === 0) return;
      all.push(id);
      weights.push(shares[i] as number);
    });
    ends.push(all.length);
  }
  return { ends: Uint32Array.from(ends), rows: Uint32Array.from(all), weights: Float64Array.from(weights) };
}

/** Of bytes that are no text (a part of a character), each byte's token. */
function idsOf({ value }: Token, own: Vocabulary, encoder: Encoder): readonly number[] {
  const bytes = Buffer.from(value, "latin1");
  const text = bytes.toString("utf8");
  if (Buffer.from(text, "utf8").equals(bytes)) return encoder.encode(text, false).ids;
  return [...value].flatMap((byte) => {
    const token = own.byKey.get(keyOf("byte", byte)) ?? own.byKey.get(keyOf("text", byte));
    return token === undefined ? [] : [token.id];
  });
}

/** The weight of each of `count` pieces; the last counts most for an embedding, the first for a head. */
function weigh(count: number, method: SubwordMethod, isHead: boolean): readonly number[] {
  const places = Array.from({ length: count }, (_, i) => (isHead ? count - i : i + 1));
  switch (method) {
    case "mean":
      return places.map(() => 1 / count);
    case "sum":
      return places.map(() => 1);
    case "weighted_mean":
      return places.map((place) => (2 * place) / (count * (count + 1)));
    case "first_last":
      return places.map((place) => (place === count ? 1 : 0));
  }
}
