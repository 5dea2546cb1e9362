import { describe, expect, test } from "bun:test";
import { lowered } from "./lowering.ts";

describe("passthrough", () => {
  test("copies without a scale, and with a scale of 1", () => {
    const copy = { kernel: "copy", inputs: [0], params: [] };
    expect(lowered("passthrough", [{}])).toEqual(copy);
    expect(lowered("passthrough", [{ scale: 1 }])).toEqual(copy);
    expect(lowered("passthrough", [{ scale: true }])).toEqual(copy);
  });

  test.each([0, -1, 0.5])("a scale of %d is the one coefficient of linear", (scale) => {
    expect(lowered("passthrough", [{ scale }])).toEqual({ kernel: "linear", inputs: [0], params: [scale] });
  });
});
