import { describe, expect, test } from "bun:test";
import { DTYPE_BYTES, type Dtype, type FloatDtype } from "../../src/model/dtype.ts";
import { decode, encode, FLOAT_DTYPES } from "../oracle/dtype.ts";
import { numbers, runOps, type Stored, stored } from "./workbench.ts";

/** `linear` with the coefficient 1: only widening and narrowing are left. */
async function convert(input: Stored, count: number, dtype: FloatDtype): Promise<Uint8Array> {
  const [outcome] = await runOps([{ kernel: "linear", params: [1], inputs: [input], dtype, count }]);
  return (outcome as { bytes: Uint8Array }).bytes;
}

const ALL_16_BITS: Uint8Array = new Uint8Array(Uint16Array.from({ length: 0x10000 }, (_, i) => i).buffer);

describe("every 16-bit pattern", () => {
  for (const from of ["F16", "BF16"] as const) {
    test.each([...FLOAT_DTYPES])(`of ${from} to %s`, async (to) => {
      const bytes = await convert({ bytes: ALL_16_BITS, dtype: from }, 0x10000, to);
      expect(Buffer.compare(bytes, encode(decode(ALL_16_BITS, from), to))).toBe(0);
    });
  }
});

/** Neighbours of every boundary between two roundings, at every exponent, with noise in between. */
function hardCases(from: "F32" | "F64", to: FloatDtype): Float64Array {
  const values: number[] = [0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
  const { uniform } = numbers(17);
  const fine = from === "F32" ? 2 ** -23 : 2 ** -52;
  const coarse = { F64: 2 ** -52, F32: 2 ** -23, F16: 2 ** -10, BF16: 2 ** -7 }[to];
  for (let exponent = -155; exponent <= 130; exponent++) {
    for (let turn = 0; turn < 8; turn++) {
      const grid = 1 + Math.floor(uniform() / coarse) * coarse;
      for (const step of [0, 0.5, -0.5]) {
        for (const hair of [0, fine, -fine]) {
          const value = (grid + step * coarse + hair) * 2 ** exponent;
          values.push(value, -value);
        }
      }
    }
  }
  return decode(encode(values, from), from);
}

describe("rounding is to nearest even", () => {
  for (const from of ["F32", "F64"] as const) {
    test.each([...FLOAT_DTYPES])(`from ${from} to %s`, async (to) => {
      const values = hardCases(from, to);
      const bytes = await convert(stored(values, from), values.length, to);
      const ours = decode(bytes, to);
      const expected = decode(encode(values, to), to);
      for (let i = 0; i < values.length; i++) {
        if (!Object.is(ours[i], expected[i])) throw new Error(`${values[i]} became ${ours[i]}, not ${expected[i]}`);
      }
    });
  }
});

test("every NaN comes out as the one pattern of its dtype", async () => {
  const payloads = new Uint8Array(
    Uint32Array.from([0x7f800001, 0xff800001, 0x7fc00000, 0xffffffff, 0x7fabcdef]).buffer,
  );
  const patterns = { F64: "000000000000f87f", F32: "0000c07f", F16: "007e", BF16: "c07f" };
  for (const dtype of FLOAT_DTYPES) {
    const bytes = await convert({ bytes: payloads, dtype: "F32" }, 5, dtype);
    expect(Buffer.from(bytes).toString("hex")).toBe(patterns[dtype].repeat(5));
  }
});

test("copy leaves every byte as it is, NaN payloads and integers too", async () => {
  const { uniform } = numbers(3);
  const bytes = Uint8Array.from({ length: 8 * 12_345 }, () => uniform() * 256);
  for (const dtype of Object.keys(DTYPE_BYTES) as Dtype[]) {
    const width = DTYPE_BYTES[dtype];
    const [outcome] = await runOps([
      { kernel: "copy", inputs: [{ bytes, dtype }], dtype, count: bytes.length / width },
    ]);
    expect(Buffer.compare((outcome as { bytes: Uint8Array }).bytes, bytes)).toBe(0);
  }
});

test("inputs with a NaN or an infinity are reported, each for itself, wherever it stands", async () => {
  const count = 70_000;
  const clean = new Float64Array(count).fill(0.5);
  for (const dtype of FLOAT_DTYPES) {
    const inputs = [
      clean,
      clean.with(0, Number.NaN),
      clean,
      clean.with(65_535, Number.NEGATIVE_INFINITY),
      clean.with(count - 1, Number.NaN),
    ].map((values) => stored(values, dtype));
    const params = [1, 1, 1, 1, 1];
    const copies = inputs.map((input) => ({ kernel: "copy", inputs: [input], dtype, count }));
    const outcomes = await runOps([{ kernel: "linear", params, inputs, dtype, count }, ...copies]);
    const expected = [false, true, false, true, true];
    expect(outcomes[0]?.result.nonFinite).toEqual(expected);
    expect(outcomes.slice(1).map(({ result }) => result.nonFinite)).toEqual(expected.map((is) => [is]));
  }
});
