/**
 * Philox4x32-10: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 * Written from the paper; its authors' known answers are in the test beside this file.
 */
const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
const WEYL = [0x9e3779b9, 0xbb67ae85] as const;
const ROUNDS = 10;

export type Words4 = [number, number, number, number];

/** Four random words of 32 bits from a counter of 128 bits and a key of 64. */
export function philox(counter: Readonly<Words4>, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const hi0 = multiplyHigh(MULTIPLIERS[0], c0);
    const lo0 = Math.imul(MULTIPLIERS[0], c0) >>> 0;
    const hi1 = multiplyHigh(MULTIPLIERS[1], c2);
    const lo1 = Math.imul(MULTIPLIERS[1], c2) >>> 0;
    [c0, c1, c2, c3] = [(hi1 ^ c1 ^ k0) >>> 0, lo1, (hi0 ^ c3 ^ k1) >>> 0, lo0];
    k0 = (k0 + WEYL[0]) >>> 0;
    k1 = (k1 + WEYL[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** The upper 32 bits of a * b, in 16-bit halves so that every step is exact in float64. */
function multiplyHigh(a: number, b: number): number {
  const low = (a & 0xffff) * b;
  const high = (a >>> 16) * b;
  return Math.floor((high + Math.floor(low / 65536)) / 65536);
}

/**
 * The key of a tensor's random numbers: the 64-bit XXH3 hash of its name, seeded.
 * @throws for a seed from 2^32 on: Bun's hash reads 32 bits of it.
 */
export function randomKey(seed: number, tensor: string): bigint {
  if (seed >= 2 ** 32) throw new Error("the oracle has no hash for seeds of more than 32 bits");
  return Bun.hash.xxHash3(new TextEncoder().encode(tensor), BigInt(seed));
}

/**
 * 16 random bits of element i: chunks of 1024 elements take 128 counters of eight numbers; the first half of a chunk takes
 * the lower four of each counter in turn, the second half the upper four.
 */
export function maskNumber(key: readonly [number, number], stream: number, i: number, level: number): number {
  const [chunk, place] = [Math.floor(i / 1024), i % 1024];
  const counter = chunk * 128 + Math.floor((place % 512) / 4);
  const words = blockOf([counter >>> 0, Math.floor(counter / 2 ** 32), stream, level], key);
  const halfword = (place < 512 ? 0 : 4) + (place % 4);
  const word = words[halfword >> 1] as number;
  return halfword % 2 === 0 ? word & 0xffff : word >>> 16;
}

const last: ({ id: string; words: Words4 } | undefined)[] = [];

/** Four neighbours ask for the same block. */
function blockOf(counter: Readonly<Words4>, key: readonly [number, number]): Words4 {
  const id = `${counter} ${key}`;
  const level = counter[3];
  const known = last[level];
  if (known?.id === id) return known.words;
  const words = philox(counter, key);
  last[level] = { id, words };
  return words;
}

/**
 * Which of `count` elements a random mask keeps: 1 where kept, with probability `p`.
 * @param stream the position of the source in the recipe.
 */
export function maskOfKey(hash: bigint, stream: number, count: number, p: number): Uint8Array {
  const mask = new Uint8Array(count).fill(1);
  if (p >= 1) return mask;
  const key: [number, number] = [Number(hash & 0xffff_ffffn), Number(hash >> 32n)];
  const bound = Math.floor(p * 2 ** 32);
  const [high, low] = [Math.floor(bound / 65536), bound % 65536];
  for (let i = 0; i < count; i++) {
    const number = maskNumber(key, stream, i, 0);
    const kept = number < high || (number === high && maskNumber(key, stream, i, 1) < low);
    mask[i] = kept ? 1 : 0;
  }
  return mask;
}

export function randomMask(seed: number, tensor: string, stream: number, count: number, p: number): Uint8Array {
  return maskOfKey(randomKey(seed, tensor), stream, count, p);
}
