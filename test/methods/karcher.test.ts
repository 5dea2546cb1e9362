import { describe, expect, test } from "bun:test";
import { lowered } from "./lowering.ts";

describe("karcher", () => {
  test("a base is one more model, in its place", () => {
    expect(lowered("karcher", [{}, { base: true }, {}])).toEqual({
      kernel: "karcher",
      inputs: [0, 1, 2],
      params: [10, 1e-5],
    });
  });

  test("iterations are whole, the tolerance stays above 0", () => {
    expect(lowered("karcher", [{}, {}], { max_iter: 3.9, tol: 1e-9 }).params).toEqual([3, 1e-9]);
    const [iterations, tolerance] = lowered("karcher", [{}, {}], { max_iter: 0, tol: 0 }).params;
    expect(iterations).toBe(0);
    expect(tolerance).toBeGreaterThan(0);
    expect(tolerance).toBeLessThan(1e-20);
  });

  test("one model is copied", () => {
    expect(lowered("karcher", [{}])).toEqual({ kernel: "copy", inputs: [0], params: [] });
  });
});
