import { describe, expect, test } from "bun:test";
import { expandArchitecture } from "../../src/architecture/expand.ts";
import { inspect } from "../../src/architecture/inspect.ts";
import type { Architecture } from "../../src/architecture/types.ts";
import { Report } from "../../src/errors.ts";
import type { Model } from "../../src/model/types.ts";
import { recorded, recordedModel } from "./recorded.ts";

function inspected(model: Model) {
  return inspect(model, expandArchitecture(model, new Report()) as Architecture);
}

const recordedAs = (name: string) => recordedModel(recorded(name));

describe("an inspection", () => {
  const tied = inspected(recordedAs("llama-tied"));

  test("counts tensors, parameters and bytes, by dtype and by module", () => {
    expect(tied.total).toEqual({
      tensors: 20,
      parameters: tied.total.bytes / 4,
      bytes: tied.dtypes.F32?.bytes as number,
    });
    expect(tied.modules).toHaveLength(1);
    expect(tied.modules[0]).toMatchObject({ ...tied.total, name: "default", family: "llama", layerCount: 2 });
    expect(tied.modules[0]?.layerKey).toBe("num_hidden_layers");
  });

  test("says which weights share a tensor, and what config.json says of that", () => {
    expect(tied.shared).toEqual([
      {
        weight: "model.embed_tokens.weight",
        role: "embedding",
        tensor: "model.embed_tokens.weight",
        shape: [64, 32],
        tied: false,
      },
      { weight: "lm_head.weight", role: "head", tensor: "model.embed_tokens.weight", shape: [64, 32], tied: true },
    ]);
    expect(tied.tied).toBe(true);
  });

  test("groups consecutive layers that have the same weights", () => {
    const runs = (name: string) =>
      inspected(recordedAs(name)).modules[0]?.layers.map(({ first, last, weights }) => [first, last, weights]);
    expect(runs("llama-tied")).toEqual([[0, 1, 9]]);
    expect(runs("qwen3_moe-mixed-tied")).toEqual([
      [0, 0, 11],
      [1, 1, 21],
    ]);
  });

  test("names what is missing, unknown and a buffer, and how experts are stored", () => {
    const model = recordedAs("mixtral-tied-v5names");
    const views = new Map(model.tensors);
    const view = views.get("model.norm.weight") as NonNullable<ReturnType<typeof views.get>>;
    views.delete("model.norm.weight");
    views.set("extra", view).set("model.layers.0.self_attn.rotary_emb.inv_freq", view);
    const found = inspected({ ...model, tensors: views });
    expect(found.missing).toEqual(["model.norm.weight"]);
    expect(found.unknown).toEqual(["extra"]);
    expect(found.buffers).toEqual(["model.layers.0.self_attn.rotary_emb.inv_freq"]);
    expect(found.layout).toBe("packed");
    expect(tied.layout).toBeNull();
  });

  test("is plain data", () => {
    expect(JSON.parse(JSON.stringify(tied))).toEqual({ ...tied, modules: JSON.parse(JSON.stringify(tied.modules)) });
  });
});
