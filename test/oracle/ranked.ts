import { maskNumber, randomKey } from "./philox.ts";

/**
 * Which elements della keeps: 1 where kept. In each row of `columns` elements the one of rank r (1 for the smallest
 * magnitude, NaN largest, equals by index) is kept with probability density - epsilon + 2 epsilon (r - 1) / (columns - 1),
 * with `density` where a row has one element. From a density of 1 on all are kept, from 0 down none.
 */
export function rankedMask(
  key: { seed: number; tensor: string },
  stream: number,
  { count, columns }: { count: number; columns: number },
  magnitudes: Float64Array,
  density: number,
  epsilon: number,
): Uint8Array {
  if (density >= 1) return new Uint8Array(count).fill(1);
  const mask = new Uint8Array(count);
  if (density <= 0 || count === 0) return mask;
  const words = randomWords(randomKey(key.seed, key.tensor), stream, count);
  for (let start = 0; start < count; start += columns) {
    const row = magnitudes.subarray(start, start + columns);
    const order = Uint32Array.from(row.keys()).sort((a, b) => compare(row[a] as number, row[b] as number) || a - b);
    order.forEach((column, rank) => {
      const p = columns === 1 ? density : density - epsilon + (2 * epsilon * rank) / (columns - 1);
      mask[start + column] = (words[start + column] as number) < Math.floor(p * 2 ** 32) ? 1 : 0;
    });
  }
  return mask;
}

/** Ascending, NaN last. */
function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a - b;
}

/** The random word of each element: its number of level 0 above that of level 1. */
function randomWords(hash: bigint, stream: number, count: number): Uint32Array {
  const key: [number, number] = [Number(hash & 0xffff_ffffn), Number(hash >> 32n)];
  return Uint32Array.from(
    { length: count },
    (_, i) => maskNumber(key, stream, i, 0) * 65536 + maskNumber(key, stream, i, 1),
  );
}
