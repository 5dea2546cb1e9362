import { describe, expect, test } from "bun:test";
import { lower, lowered } from "./lowering.ts";

describe("model_stock", () => {
  test("reads the base first, then the models in their order", () => {
    expect(lowered("model_stock", [{}, { base: true }, {}])).toEqual({
      kernel: "model_stock",
      inputs: [1, 0, 2],
      params: [0],
    });
  });

  test("filter_wise takes each row as a vector, and keeps numbers for each", () => {
    const rows = lowered("model_stock", [{}, { base: true }, {}, {}], { filter_wise: true }, [5, 3, 8]);
    expect(rows.params).toEqual([1]);
    expect(rows.scratch).toEqual({ numbers: (6 + 3) * 15 });
    expect(lowered("model_stock", [{}, { base: true }, {}], { filter_wise: true }, [0, 8]).scratch).toBeUndefined();
  });

  test("with no model besides it, the base is copied", () => {
    expect(lowered("model_stock", [{ base: true }])).toEqual({ kernel: "copy", inputs: [0], params: [] });
  });

  test("refuses inputs without a base", () => {
    expect(lower("model_stock", [{}])).toMatchObject({ code: "base-missing" });
  });
});
