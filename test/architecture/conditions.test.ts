import { describe, expect, test } from "bun:test";
import { conditionHolds, countOf, effectiveKey, isConstant } from "../../src/architecture/config-values.ts";
import type { Condition } from "../../src/architecture/definition.ts";

const holds = (condition: Condition, values: Record<string, unknown>, layer?: number) =>
  conditionHolds(condition, (key) => values[key], layer === undefined ? undefined : { layer, layers: 10 });

describe("a condition", () => {
  test("holds where every key has one of the values", () => {
    expect(holds({ a: 1, b: ["x", "y"] }, { a: 1, b: "y" })).toBe(true);
    expect(holds({ a: 1, b: ["x", "y"] }, { a: 2, b: "y" })).toBe(false);
    expect(holds({ b: ["x", "y"] }, { b: "z" })).toBe(false);
    expect(holds({}, {})).toBe(true);
  });

  test("means by null that the key is absent, and by a list's element that the list has it", () => {
    expect(holds({ a: null }, {})).toBe(true);
    expect(holds({ a: true }, {})).toBe(false);
    expect(holds({ a: "x" }, { a: ["w", "x"] })).toBe(true);
  });

  test("that is a list holds where one of its parts does", () => {
    expect(holds([{ a: 1 }, { b: 1 }], { b: 1 })).toBe(true);
    expect(holds([{ a: 1 }, { b: 1 }], { b: 2 })).toBe(false);
  });

  test.each([
    [{ not: [null, 0] }, 0, false],
    [{ not: [null, 0] }, undefined, false],
    [{ not: [null, 0] }, 3, true],
    [{ from: 2, to: 4 }, 4, true],
    [{ from: 2, to: 4 }, 5, false],
    [{ from: "two" }, 1, false],
    [{ from: "two" }, 2, true],
    [{ from: "absent" }, 2, false],
    [{ below: "two" }, 2, false],
    [{ multiple_of: "two" }, 6, true],
    [{ multiple_of: "two" }, 7, false],
    [{ in: "list" }, 5, true],
    [{ in: "absent" }, 5, false],
    [{ not_in: "list" }, 5, false],
    [{ not_in: ["absent", "list"] }, 6, true],
    [{ from: 1 }, "3", false],
  ])("%p of %p: %p", (comparison, value, wanted) => {
    expect(holds({ key: comparison as never }, { key: value, two: 2, list: [3, 5] })).toBe(wanted);
  });

  test("may ask for the layer, counted from 0 or 1, from the end, or within a key", () => {
    expect(holds({ layer: 3 }, {}, 3)).toBe(true);
    expect(holds({ "layer+1": { multiple_of: 4 } }, {}, 3)).toBe(true);
    expect(holds({ layer: { from: -2 } }, {}, 8)).toBe(true);
    expect(holds({ layer: { from: -2 } }, {}, 7)).toBe(false);
    expect(holds({ "types.${layer}": "x" }, { "types.3": "x" }, 3)).toBe(true);
    expect(isConstant({ a: 1, layers: 2 })).toBe(true);
    expect([{ layer: 1 }, { "layer+1": 1 }, { "types.${layer}": 1 }].map(isConstant)).toEqual([false, false, false]);
    expect(isConstant([{ a: 1 }, { layer: 1 }])).toBe(false);
  });
});

test("a count is a number, or what config.json has at the first key that is there", () => {
  const values: Record<string, unknown> = { n: 5, list: [1, 2, 3], text: "7" };
  const count = (keys: Parameters<typeof countOf>[0]) => countOf(keys, (key) => values[key]);
  expect([count(4), count("n"), count("n-1"), count("list"), count(["absent", "n"])]).toEqual([4, 5, 4, 3, 5]);
  expect([count("absent"), count("text")]).toEqual([undefined, undefined]);
  expect(effectiveKey(["absent", "n"], (key) => values[key])).toBe("n");
  expect(effectiveKey(["absent", "none"], (key) => values[key])).toBe("absent");
});
