import { describe, expect, test } from "bun:test";
import { resolveWeight, unknownTensors } from "../../src/architecture/resolve.ts";
import type { Architecture, Packing, WeightSpec } from "../../src/architecture/types.ts";
import { storedModel } from "./stored-model.ts";

function spec(name: string, more: Partial<WeightSpec> = {}): WeightSpec {
  return { name, key: name, aliases: [], optional: false, ...more };
}

function architecture(...before: WeightSpec[]): Architecture {
  return {
    family: "made-up",
    modules: [{ name: "default", family: "made-up", before, layers: [], after: [] }],
    keys: { layerCount: {}, vocabSize: "vocab_size", tie: "tie", perLayer: {}, layerNumbers: {} },
    tied: true,
    layout: { kind: undefined, fixed: false },
    byName: [],
    files: [],
  };
}

const embedding = spec("embed", { aliases: ["shared", "wte"] });
const head = spec("head", { aliases: ["output"], tie: "embed" });
const second = spec("second", { tie: "head" });
const family = architecture(embedding, head, second);

describe("a weight", () => {
  test.each([
    ["its own name", ["head", "output", "embed"], "own", "head"],
    ["else an alias", ["wte", "output", "embed"], "alias", "output"],
    ["else what it is tied to", ["embed", "wte"], "tie", "embed"],
    ["else an alias of what it is tied to, the first that is stored", ["wte", "shared"], "tie", "shared"],
  ] as const)("resolves to %s", (_, stored, via, name) => {
    const model = storedModel({}, stored);
    const view = model.tensors.get(name);
    expect(resolveWeight(head, model, family)).toEqual({ via, name, view: view as NonNullable<typeof view> });
  });

  test("follows a tie to a weight that is tied itself", () => {
    expect(resolveWeight(second, storedModel({}, ["shared"]), family)).toMatchObject({ via: "tie", name: "shared" });
  });

  test("that is stored nowhere does not resolve, even where ties go in a circle", () => {
    expect(resolveWeight(head, storedModel({}, ["other"]), family)).toBeUndefined();
    const a = spec("a", { tie: "b" });
    const b = spec("b", { tie: "a" });
    expect(resolveWeight(a, storedModel({}, []), architecture(a, b))).toBeUndefined();
  });
});

describe("a weight within a larger tensor", () => {
  const whole = { file: "f", offset: 100, dtype: "BF16", shape: [3, 6, 5] } as const;
  const model = { ...storedModel({}, []), tensors: new Map([["whole", whole]]) };
  const part = (packing: Omit<Packing, "names">) => {
    const inside = spec("inside", { packing: { names: ["other", "whole"], ...packing } });
    return resolveWeight(inside, model, architecture(inside));
  };

  test("is an entry of the first dimension", () => {
    expect(part({ entry: { index: 2, count: 3 } })).toEqual({
      view: { file: "f", offset: 100 + 2 * 30 * 2, dtype: "BF16", shape: [6, 5] },
      name: "whole",
      via: "part",
    });
  });

  test("is some of its rows", () => {
    expect(part({ rows: { from: 1, to: 3, of: 3 } })?.view).toEqual({
      file: "f",
      offset: 100 + 1 * 30 * 2,
      dtype: "BF16",
      shape: [2, 6, 5],
    });
  });

  test("is some rows of an entry", () => {
    const rows = { from: 1, to: 2, of: 2 };
    expect(part({ entry: { index: 1, count: 3 }, rows })?.view).toEqual({
      file: "f",
      offset: 100 + (1 * 30 + 3 * 5) * 2,
      dtype: "BF16",
      shape: [3, 5],
    });
  });

  test("is not there where the tensor cannot be divided so", () => {
    expect(part({ entry: { index: 0, count: 4 } })).toBeUndefined();
    expect(part({ entry: { index: 0, count: 3 }, rows: { from: 0, to: 1, of: 4 } })).toBeUndefined();
    expect(part({ rows: { from: 0, to: 1, of: Number.NaN } })).toBeUndefined();
  });

  test("makes the larger tensor a known one", () => {
    const inside = spec("inside", { packing: { names: ["whole"] } });
    expect(unknownTensors(model, architecture(inside))).toEqual([]);
  });
});

test("unknown tensors are those that no weight or alias accounts for", () => {
  const stored = ["wte", "extra", "head", "more"];
  expect(unknownTensors(storedModel({}, stored), family)).toEqual(["extra", "more"]);
  expect(unknownTensors(storedModel({}, ["head", "embed"]), family)).toEqual([]);
});
