/**
 * Random numbers that are a function of a seed and a count: Philox4x32-10, J. Salmon, M. Moraes, R. Dror, D. Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011. What native/numeric/philox.h is for masks, for choices that a
 * recipe is made with: the same everywhere.
 */
const ROUNDS = 10;
const MULTIPLIERS = [0xd2511f53n, 0xcd9e8d57n] as const;
const WEYL = [0x9e3779b9n, 0xbb67ae85n] as const;
const WORD = 0xffff_ffffn;

/** Numbers in [0, 1), each of 53 random bits: the `n`-th of a seed is always the same. */
export function randomNumbers(seed: number): () => number {
  let count = 0n;
  return () => {
    const [first = 0n, second = 0n] = philox(count++, BigInt(seed));
    return (Number(first) * 2 ** 21 + Number(second >> 11n)) / 2 ** 53;
  };
}

/** Four words of 32 bits from a counter and a key. */
export function philox(counter: bigint, key: bigint): readonly bigint[] {
  let words = [0n, 32n, 64n, 96n].map((shift) => (counter >> shift) & WORD);
  let keys = [key & WORD, (key >> 32n) & WORD];
  for (let round = 0; round < ROUNDS; round++) {
    const [c0 = 0n, c1 = 0n, c2 = 0n, c3 = 0n] = words;
    const [k0 = 0n, k1 = 0n] = keys;
    const first = MULTIPLIERS[0] * c0;
    const second = MULTIPLIERS[1] * c2;
    words = [(second >> 32n) ^ c1 ^ k0, second & WORD, (first >> 32n) ^ c3 ^ k1, first & WORD];
    keys = [(k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD];
  }
  return words;
}
