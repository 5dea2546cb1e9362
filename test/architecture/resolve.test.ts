import { describe, expect, test } from "bun:test";
import { resolveWeight, unknownTensors } from "../../src/architecture/resolve.ts";
import type { Architecture, WeightSpec } from "../../src/architecture/types.ts";
import { storedModel } from "./stored-model.ts";

function spec(name: string, more: Partial<WeightSpec> = {}): WeightSpec {
  return { name, aliases: [], optional: false, ...more };
}

function architecture(...before: WeightSpec[]): Architecture {
  return {
    family: "made-up",
    modules: [{ name: "default", before, layers: [], after: [] }],
    keys: { layerCount: {}, vocabSize: "vocab_size", tie: "tie", perLayer: [] },
    tied: true,
    ignored: [/buffer$/],
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

test("unknown tensors are those that no weight, alias or ignored buffer accounts for", () => {
  const stored = ["x.buffer", "wte", "extra", "head", "buffer.weight"];
  expect(unknownTensors(storedModel({}, stored), family)).toEqual(["extra", "buffer.weight"]);
  expect(unknownTensors(storedModel({}, ["head", "embed"]), family)).toEqual([]);
});
