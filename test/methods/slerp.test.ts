import { describe, expect, test } from "bun:test";
import { lower, lowered } from "./lowering.ts";

describe("slerp", () => {
  test("the base is the first input of the kernel, wherever it stands", () => {
    expect(lowered("slerp", [{ base: true }, {}], { t: 0.25 })).toEqual({
      kernel: "slerp",
      inputs: [0, 1],
      params: [0.25],
    });
    expect(lowered("slerp", [{}, { base: true }], { t: 0.25 }).inputs).toEqual([1, 0]);
  });

  test("t may lie outside 0 to 1, and may be a truth value", () => {
    expect(lowered("slerp", [{ base: true }, {}], { t: 1.5 }).params).toEqual([1.5]);
    expect(lowered("slerp", [{ base: true }, {}], { t: true }).params).toEqual([1]);
  });

  test("one model is copied, base or not", () => {
    expect(lowered("slerp", [{}], { t: 0.5 })).toEqual({ kernel: "copy", inputs: [0], params: [] });
    expect(lowered("slerp", [{ base: true }], { t: 0.5 }).kernel).toBe("copy");
  });

  test("the base with itself is the base", () => {
    expect(lowered("slerp", [{ base: true }, { base: true }], { t: 0.5 })).toEqual({
      kernel: "copy",
      inputs: [0],
      params: [],
    });
  });

  test("refuses two models without a base among them", () => {
    expect(lower("slerp", [{}, {}], { t: 0.5 })).toMatchObject({ code: "base-missing" });
  });
});
