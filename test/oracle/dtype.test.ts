import { describe, expect, test } from "bun:test";
import { decode, encode, FORMATS, fromBits16, round, toBits16, ulp } from "./dtype.ts";

const SMALL = ["F16", "BF16"] as const;

describe("16-bit formats", () => {
  test.each(SMALL)("every %s pattern survives decoding and encoding", (dtype) => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = fromBits16(bits, dtype);
      if (Number.isNaN(value)) expect(toBits16(value, dtype)).toBe(dtype === "F16" ? 0x7e00 : 0x7fc0);
      else expect(toBits16(value, dtype)).toBe(bits);
    }
  });

  test("bfloat16 is the upper half of float32", () => {
    const view = new DataView(new ArrayBuffer(4));
    for (let bits = 0; bits < 0x10000; bits++) {
      view.setUint16(0, bits);
      view.setUint16(2, 0);
      expect(fromBits16(bits, "BF16")).toBe(view.getFloat32(0));
    }
  });

  test("known float16 numbers", () => {
    expect(fromBits16(0x3c00, "F16")).toBe(1);
    expect(fromBits16(0x7bff, "F16")).toBe(65504);
    expect(fromBits16(0x0001, "F16")).toBe(2 ** -24);
    expect(fromBits16(0x0400, "F16")).toBe(2 ** -14);
    expect(fromBits16(0xfc00, "F16")).toBe(Number.NEGATIVE_INFINITY);
  });

  test.each(SMALL)("halfway between two %s numbers goes to the even one, a hair off to the nearer", (dtype) => {
    for (let bits = 0; bits < 0x7fff; bits++) {
      const low = fromBits16(bits, dtype);
      const high = fromBits16(bits + 1, dtype);
      if (!Number.isFinite(low) || !Number.isFinite(high)) continue;
      const middle = (low + high) / 2;
      expect(toBits16(middle, dtype)).toBe(bits % 2 === 0 ? bits : bits + 1);
      expect(toBits16(middle * (1 - 2 ** -50), dtype)).toBe(bits);
      expect(toBits16(-middle * (1 + 2 ** -50), dtype)).toBe((bits + 1) | 0x8000);
    }
  });

  test.each(SMALL)("%s overflows to infinity from half an ulp beyond its largest number", (dtype) => {
    const { fractionBits, maxExponent } = FORMATS[dtype];
    const largest = (2 - 2 ** -fractionBits) * 2 ** maxExponent;
    const edge = largest + ulp(largest, dtype) / 2;
    expect(round(edge, dtype)).toBe(Number.POSITIVE_INFINITY);
    expect(round(edge * (1 - 2 ** -50), dtype)).toBe(largest);
  });
});

test("rounding to float32 is what the hardware does", () => {
  let state = 12345;
  for (let i = 0; i < 20_000; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const x = (state & 1 ? -1 : 1) * (state / 3) * 2 ** ((state % 320) - 190);
    expect(round(x, "F32")).toBe(Math.fround(x));
  }
});

test("wide formats keep every bit, at odd addresses too", () => {
  const values = [0, -0, 1, -1.5, 2 ** -149, 2 ** 127, Number.POSITIVE_INFINITY, Number.NaN];
  for (const dtype of ["F32", "F64"] as const) {
    const bytes = encode(values, dtype);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect(Array.from(decode(shifted.subarray(1), dtype))).toEqual(values);
  }
});
