/** Deterministic noise, rounded to bfloat16: the same bytes on every machine, made faster than a disk takes them. */

/** Elements that are worked on at a time. */
export const BLOCK = 1 << 20;

const f32 = new Float32Array(BLOCK);
const u32 = new Uint32Array(f32.buffer);

/** 65,536 samples with mean 0 and variance 1, each a sum of twelve uniforms: close to normal, and free of `Math.*`. */
const NORMAL = normalTable();

function normalTable(): Float32Array {
  const table = new Float32Array(65536);
  for (let i = 0; i < table.length; i++) {
    let sum = 0;
    for (let j = 0; j < 12; j++) sum += mix(i * 12 + j) / 4294967296;
    table[i] = sum - 6;
  }
  return table;
}

/** The finalizer of MurmurHash3: every bit of the input reaches every bit of the result. */
function mix(x: number): number {
  let h = x | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** FNV-1a: a stream of noise per text. */
export function streamKey(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h);
}

/**
 * Fills `out` with bfloat16(mean + std * noise).
 * @param start index of out[0] within the tensor; even, so that pieces fit together.
 */
export function fillNormal(out: Uint16Array, key: number, start: number, mean: number, std: number): void {
  f32.fill(mean, 0, out.length);
  addNoise(out.length, key, start, std);
  narrow(out);
}

/** Fills `out` with bfloat16(base + std * noise): what a fine-tune looks like once it is stored. */
export function fillTuned(out: Uint16Array, base: Uint16Array, key: number, start: number, std: number): void {
  for (let i = 0; i < out.length; i++) u32[i] = (base[i] as number) << 16;
  addNoise(out.length, key, start, std);
  narrow(out);
}

/** One hash serves two elements. */
function addNoise(count: number, key: number, start: number, std: number): void {
  const first = key + start / 2;
  for (let i = 0; i < count; i += 2) {
    let h = (first + (i >> 1)) | 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h ^= h >>> 16;
    f32[i] = (f32[i] as number) + std * (NORMAL[h & 0xffff] as number);
    f32[i + 1] = (f32[i + 1] as number) + std * (NORMAL[h >>> 16] as number);
  }
}

/** Rounds to nearest, ties to even. There are no NaNs here. */
function narrow(out: Uint16Array): void {
  for (let i = 0; i < out.length; i++) {
    const bits = u32[i] as number;
    out[i] = (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
}
