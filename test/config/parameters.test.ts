import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { evaluate } from "../../src/config/parameters.ts";
import type { ConditionalValue, Parameters, Scalar, ScalarOrGradient } from "../../src/config/types.ts";

const at = { file: "f.yml", line: 1, column: 1 };

function scope(lines: readonly ConditionalValue[], line = 1): Parameters {
  return new Map([["weight", { lines, at: { ...at, line } }]]);
}

function value(setting: ScalarOrGradient, t: number): Scalar | undefined {
  return evaluate("weight", [scope([{ value: setting }])], "model.norm.weight", t)?.value;
}

const number = fc.double({ min: -100, max: 100, noNaN: true });
const gradient = fc.array(number, { minLength: 1, maxLength: 8 });
const position = fc.double({ min: 0, max: 1, noNaN: true });

describe("a gradient", () => {
  test("starts at its first value and ends at its last", () => {
    fc.assert(
      fc.property(gradient, (values) => {
        expect(value(values, 0) === values[0] && value(values, 1) === values.at(-1)).toBe(true);
      }),
    );
  });

  test("never leaves the range of its values", () => {
    fc.assert(
      fc.property(gradient, position, (values, t) => {
        const result = Number(value(values, t));
        expect(result).toBeGreaterThanOrEqual(Math.min(...values));
        expect(result).toBeLessThanOrEqual(Math.max(...values));
      }),
    );
  });

  test("of equal values is that value everywhere", () => {
    fc.assert(
      fc.property(number, fc.nat(6), position, (x, extra, t) => {
        expect(value(Array(extra + 1).fill(x), t) === x).toBe(true);
      }),
    );
  });

  test("meets each of its values at that value's place", () => {
    fc.assert(
      fc.property(gradient, fc.nat(), (values, n) => {
        const index = n % values.length;
        const t = values.length === 1 ? 0 : index / (values.length - 1);
        expect(Number(value(values, t))).toBeCloseTo(values[index] ?? Number.NaN, 9);
      }),
    );
  });

  test("is linear between two values", () => {
    expect(value([0, 0.5, 0.3, 0.7, 1], 1 / 8)).toBe(0.25);
    expect(value([0, 10], 0.3)).toBe(3);
  });

  test("counts truth values in it as 1 and 0", () => {
    expect(value([true, false], 0.25)).toBe(0.75);
    expect(value([true], 1)).toBe(1);
  });
});

describe("a scalar", () => {
  test("is the same everywhere and keeps its type", () => {
    fc.assert(fc.property(fc.oneof(number, fc.boolean()), position, (x, t) => expect(value(x, t)).toBe(x)));
  });
});

describe("a filter", () => {
  const name = "model.layers.0.mlp.down_proj.weight";
  const pick = (lines: readonly ConditionalValue[]) => evaluate("weight", [scope(lines)], name, 0)?.value;

  test("matches a part of the tensor's name, * or no filter any name", () => {
    expect(pick([{ filter: "mlp", value: 1 }])).toBe(1);
    expect(pick([{ filter: "*", value: 2 }])).toBe(2);
    expect(pick([{ value: 3 }])).toBe(3);
    expect(pick([{ filter: "self_attn", value: 4 }])).toBeUndefined();
    expect(pick([{ filter: "m*p", value: 5 }])).toBeUndefined();
  });

  test("that matches first wins", () => {
    expect(
      pick([
        { filter: "self_attn", value: 1 },
        { filter: "down_proj", value: 2 },
        { filter: "mlp", value: 3 },
      ]),
    ).toBe(2);
    expect(pick([{ value: 1 }, { filter: "mlp", value: 2 }])).toBe(1);
  });

  test("chooses a gradient as well as a number", () => {
    const lines = [{ filter: "mlp", value: [0, 1] }, { value: 0.5 }];
    expect(evaluate("weight", [scope(lines)], name, 0.75)?.value).toBe(0.75);
  });
});

describe("scopes", () => {
  const filter = fc.constantFrom(undefined, "*", "mlp", "attn", "norm");
  const lines = fc.array(fc.record({ filter, value: number }), { maxLength: 3 });
  const scopes = fc.array(
    fc.option(
      lines.map((list) => scope(list)),
      { nil: undefined },
    ),
    { maxLength: 4 },
  );
  const tensor = fc.constantFrom("layers.0.mlp.weight", "layers.1.attn.weight", "norm.weight");

  test("the innermost that has a matching line gives the value; the others are as if absent", () => {
    fc.assert(
      fc.property(scopes, tensor, position, (list, name, t) => {
        const alone = list.map((one) => evaluate("weight", [one], name, t));
        expect(evaluate("weight", list, name, t)).toEqual(alone.find((found) => found !== undefined));
      }),
    );
  });

  test("the value comes with the place of the scope that gave it", () => {
    const found = evaluate(
      "weight",
      [scope([{ filter: "attn", value: 1 }], 3), undefined, scope([{ value: 2 }], 9)],
      "mlp",
      0,
    );
    expect(found).toEqual({ value: 2, at: { ...at, line: 9 } });
  });

  test("another parameter's value does not answer", () => {
    expect(evaluate("density", [scope([{ value: 1 }])], "mlp", 0)).toBeUndefined();
  });
});
