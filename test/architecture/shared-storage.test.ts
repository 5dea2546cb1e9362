import { describe, expect, test } from "bun:test";
import { resolveWeight } from "../../src/architecture/resolve.ts";
import type { Architecture, WeightSpec } from "../../src/architecture/types.ts";
import type { Model, TensorView } from "../../src/model/types.ts";
import { storedModel } from "./stored-model.ts";

const embedding: WeightSpec = { name: "embed", key: "embed", aliases: ["wte"], optional: false };
const head: WeightSpec = { name: "head", key: "head", aliases: [], optional: false, tie: "embed" };
const family: Architecture = {
  family: "made-up",
  modules: [{ name: "default", family: "made-up", before: [embedding, head], layers: [], after: [] }],
  keys: { layerCount: {}, vocabSize: "vocab_size", tie: "tie", perLayer: {}, layerNumbers: {} },
  tied: true,
  layout: { kind: undefined, fixed: false },
  byName: [],
  files: [],
};

/** As PyTorch's files store tied weights: both names, one storage. */
function sharing(...names: readonly string[]): Model {
  const view: TensorView = { file: "pytorch_model.bin", offset: 64, dtype: "F32", shape: [4, 2] };
  return { ...storedModel({}, []), tensors: new Map(names.map((name) => [name, view])) };
}

describe("a head that is stored as the embedding's own bytes", () => {
  test("is tied", () => {
    expect(resolveWeight(head, sharing("embed", "head"), family)).toMatchObject({ via: "tie", name: "embed" });
    expect(resolveWeight(head, sharing("wte", "head"), family)).toMatchObject({ via: "tie", name: "wte" });
  });

  test("leaves the embedding its own", () => {
    expect(resolveWeight(embedding, sharing("embed", "head"), family)).toMatchObject({ via: "own", name: "embed" });
  });

  test("is not tied where the embedding lies elsewhere, or is absent", () => {
    expect(resolveWeight(head, storedModel({}, ["embed", "head"]), family)?.via).toBe("own");
    expect(resolveWeight(head, sharing("head"), family)?.via).toBe("own");
  });
});
