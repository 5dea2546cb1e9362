import type { FloatDtype } from "../../src/model/dtype.ts";

/**
 * Float formats by their definition (IEEE 754-2019 section 3.4; bfloat16 is binary32 without the low 16 bits), in plain
 * float64 arithmetic. Slow and simple on purpose: what native code does with bits is held against this.
 */
export const FORMATS = {
  F64: { bytes: 8, fractionBits: 52, minExponent: -1022, maxExponent: 1023 },
  F32: { bytes: 4, fractionBits: 23, minExponent: -126, maxExponent: 127 },
  F16: { bytes: 2, fractionBits: 10, minExponent: -14, maxExponent: 15 },
  BF16: { bytes: 2, fractionBits: 7, minExponent: -126, maxExponent: 127 },
} as const satisfies Record<FloatDtype, unknown>;

export const FLOAT_DTYPES: readonly FloatDtype[] = ["F64", "F32", "F16", "BF16"];

const CANONICAL_NAN = { F16: 0x7e00, BF16: 0x7fc0 } as const;

const scratch = new DataView(new ArrayBuffer(8));

/** floor(log2 |x|) of a finite, nonzero x; -1023 for a subnormal float64, which is below every smaller format. */
function exponentOf(x: number): number {
  scratch.setFloat64(0, x);
  return ((scratch.getUint16(0) >>> 4) & 0x7ff) - 1023;
}

/** The distance between neighbouring numbers of `dtype` at |x|: one ulp. */
export function ulp(x: number, dtype: FloatDtype): number {
  const { fractionBits, minExponent, maxExponent } = FORMATS[dtype];
  const exponent = x === 0 ? minExponent : Math.min(Math.max(exponentOf(x), minExponent), maxExponent);
  return 2 ** (exponent - fractionBits);
}

/** The number of `dtype` nearest to x, ties to even, infinity from half an ulp beyond the largest finite number. */
export function round(x: number, dtype: FloatDtype): number {
  if (dtype === "F64" || x === 0 || !Number.isFinite(x)) return x;
  const { fractionBits, maxExponent } = FORMATS[dtype];
  const quantum = ulp(x, dtype);
  const scaled = Math.abs(x) / quantum;
  const below = Math.floor(scaled);
  const rest = scaled - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 === 1);
  const magnitude = (up ? below + 1 : below) * quantum;
  const largest = (2 - 2 ** -fractionBits) * 2 ** maxExponent;
  return Math.sign(x) * (magnitude > largest ? Number.POSITIVE_INFINITY : magnitude);
}

/** The value that a bit pattern of F16 or BF16 stands for. */
export function fromBits16(bits: number, dtype: "F16" | "BF16"): number {
  const { fractionBits, minExponent, maxExponent } = FORMATS[dtype];
  const sign = bits & 0x8000 ? -1 : 1;
  const exponentField = (bits & 0x7fff) >>> fractionBits;
  const fraction = bits & (2 ** fractionBits - 1);
  if (exponentField === maxExponent - minExponent + 2)
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponentField === 0) return sign * fraction * 2 ** (minExponent - fractionBits);
  return sign * (1 + fraction / 2 ** fractionBits) * 2 ** (exponentField - 1 + minExponent);
}

/** The bit pattern of F16 or BF16 that x rounds to. A NaN gives the one pattern that computed NaNs have. */
export function toBits16(x: number, dtype: "F16" | "BF16"): number {
  if (Number.isNaN(x)) return CANONICAL_NAN[dtype];
  const { fractionBits, minExponent, maxExponent } = FORMATS[dtype];
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(round(x, dtype));
  if (magnitude === Number.POSITIVE_INFINITY) return sign | ((maxExponent - minExponent + 2) << fractionBits);
  if (magnitude < 2 ** minExponent) return sign | (magnitude / 2 ** (minExponent - fractionBits));
  const exponent = exponentOf(magnitude);
  const fraction = (magnitude / 2 ** exponent - 1) * 2 ** fractionBits;
  return sign | ((exponent - minExponent + 1) << fractionBits) | fraction;
}

/** Little-endian bytes to values. `bytes` may start at any address. */
export function decode(bytes: Uint8Array, dtype: FloatDtype): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = FORMATS[dtype].bytes;
  const values = new Float64Array(bytes.byteLength / width);
  if (dtype === "F64") for (let i = 0; i < values.length; i++) values[i] = view.getFloat64(8 * i, true);
  else if (dtype === "F32") for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(4 * i, true);
  else {
    const table = decodeTable(dtype);
    for (let i = 0; i < values.length; i++) values[i] = table[view.getUint16(2 * i, true)] as number;
  }
  return values;
}

/** Values to little-endian bytes, each rounded once. */
export function encode(values: ArrayLike<number>, dtype: FloatDtype): Uint8Array {
  const width = FORMATS[dtype].bytes;
  const bytes = new Uint8Array(values.length * width);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (dtype === "F64") view.setFloat64(8 * i, value, true);
    else if (dtype === "F32") view.setFloat32(4 * i, value, true);
    else view.setUint16(2 * i, toBits16(value, dtype), true);
  }
  return bytes;
}

const tables: { F16?: Float64Array; BF16?: Float64Array } = {};

function decodeTable(dtype: "F16" | "BF16"): Float64Array {
  let table = tables[dtype];
  if (table === undefined) {
    table = Float64Array.from({ length: 0x10000 }, (_, bits) => fromBits16(bits, dtype));
    tables[dtype] = table;
  }
  return table;
}
