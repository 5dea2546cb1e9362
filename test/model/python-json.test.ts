import { describe, expect, test } from "bun:test";
import { parsePythonJson, parseSpelt, writeSpelt } from "../../src/model/python-json.ts";

describe("JSON that Python wrote", () => {
  test("may have numbers that JSON has no words for", () => {
    const text = '{"a": NaN, "b": [Infinity, -Infinity, 1e5], "c": {"d": "NaN, Infinity \\\\"}, "Infinity": 1}';
    expect(parsePythonJson(text)).toEqual({
      a: Number.NaN,
      b: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e5],
      c: { d: "NaN, Infinity \\" },
      Infinity: 1,
    });
  });

  test.each(["nan", "Nan", "inf", "-NaN", "+Infinity", "NaNs", "1NaN", "Infinity.5", '{"a": NaN', "{NaN: 1}"])(
    "has no others: %s",
    (text) => {
      expect(() => parsePythonJson(text)).toThrow(SyntaxError);
    },
  );

  test("is written as it was spelt", () => {
    for (const value of ["10000.0", "1e-05", "NaN", "Infinity", "-Infinity", "1E+5", "0.10"]) {
      const text = `{\n  "a\\"NaN": ${value},\n  "b": "Infinity 1e7713"\n}`;
      expect(writeSpelt(parseSpelt(text))).toBe(text);
    }
  });

  test("is read in a time that grows with its length alone, whatever its quotes", () => {
    // Text that a search from every quote would take hours for: only what hangs is ended.
    for (const text of [`NaN${'"'.repeat(1e6)}`, `NaN"${"\\".repeat(1e6)}`, `NaN "${"x".repeat(1e6)}`]) {
      expect(() => parsePythonJson(text)).toThrow(SyntaxError);
    }
  });
});
