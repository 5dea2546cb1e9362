import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DTYPE_BYTES } from "../../src/model/dtype.ts";
import { elementCount } from "../../src/model/types.ts";
import { expectInProportion } from "../support/growth.ts";
import { plan, tinyModel } from "./models.ts";

const ties = (more = "") => `
merge_method: ties
base_model: base
models:
  - {model: a, parameters: {weight: 0.5, density: [0.2, 0.6]}}
  - {model: b, parameters: {weight: [{filter: mlp, value: [0.1, 0.5]}, {value: 0.3}]}}
${more}`;
const models = ["base", "a", "b"].map((name) => tinyModel(name, { layers: 3 }));

describe("a plan", () => {
  test("lists tensors as the architecture does: before the layers, layer by layer, after them", () => {
    const names = plan(ties(), models).plan.ops.map(({ tensor }) => tensor);
    expect(names[0]).toBe("model.embed_tokens.weight");
    expect(names.slice(-2)).toEqual(["model.norm.weight", "lm_head.weight"]);
    expect(names.slice(1, -2).map((name) => name.split(".")[2])).toEqual(
      ["0", "1", "2"].flatMap((n) => Array(9).fill(n)),
    );
  });

  test("counts what it reads and writes", () => {
    const { ops, shards, totals } = plan(ties(), models).plan;
    const bytes = (view: { dtype: keyof typeof DTYPE_BYTES; shape: readonly number[] }) =>
      elementCount(view.shape) * DTYPE_BYTES[view.dtype];
    expect(totals.tensors).toBe(ops.length);
    expect(totals.bytesRead).toBe(ops.flatMap(({ inputs }) => inputs).reduce((sum, { view }) => sum + bytes(view), 0));
    expect(totals.bytesWritten).toBe(shards.reduce((sum, { size }) => sum + size, 0));
    expect(totals.parameters).toBe(ops.reduce((sum, op) => sum + elementCount(op.shape), 0));
  });

  test("names each input file once, with its size, in the order of first use", () => {
    const { inputFiles } = plan(ties(), models).plan;
    expect(inputFiles).toEqual(
      ["base", "a", "b"].map((name) => models.find((m) => m.name === name)?.weightFiles[0] as never),
    );
  });

  test("leaves out files that no op reads", () => {
    const merged = plan(
      "merge_method: passthrough\nbase_model: base\nslices: [{sources: [{model: a, layer_range: [0, 3]}]}]",
      models,
    );
    expect(merged.plan.inputFiles.map(({ path }) => path)).toEqual(["/models/a/model.safetensors"]);
    expect(merged.plan.models).toEqual(["a", "base"]);
  });

  test("is plain data: it survives JSON", () => {
    const merged = plan(ties(), models).plan;
    expect(JSON.parse(JSON.stringify(merged))).toEqual(JSON.parse(JSON.stringify(structuredClone(merged))));
  });

  test("carries its warnings", () => {
    const merged = plan(ties("parameters: {bogus: 1}"), models);
    expect(merged.plan.warnings).toEqual(merged.report.warnings);
    expect(merged.warned).toEqual(["unknown-parameter"]);
  });
});

test("whatever the layers taken, every one becomes the next layer of the output", () => {
  const range = fc.tuple(fc.nat(2), fc.nat(2)).map(([a, b]) => [Math.min(a, b), Math.max(a, b) + 1] as const);
  const source = fc.tuple(fc.constantFrom("a", "b", "base"), range);
  fc.assert(
    fc.property(fc.array(source, { minLength: 1, maxLength: 6 }), (slices) => {
      const lines = slices.map(
        ([name, [from, to]]) => `  - {sources: [{model: ${name}, layer_range: [${from}, ${to}]}]}`,
      );
      const merged = plan(`merge_method: passthrough\nslices:\n${lines.join("\n")}`, models);
      const taken = slices.flatMap(([name, [from, to]]) =>
        Array.from({ length: to - from }, (_, i) => `${name} model.layers.${from + i}.mlp.up_proj.weight`),
      );
      const made = taken.map((_, layer) => {
        const [input] = merged.op(`model.layers.${layer}.mlp.up_proj.weight`).inputs;
        return `${input?.model} ${input?.tensor}`;
      });
      expect(made).toEqual(taken);
      expect(merged.config.num_hidden_layers).toBe(taken.length);
    }),
    { numRuns: 50 },
  );
});

test("100,000 tensors take time in proportion, gradients and filters included", () => {
  expectInProportion(11_111, (layers) => {
    const deep = ["base", "a", "b"].map((name) => tinyModel(name, { layers: Math.floor(layers) }));
    return () => expect(plan(ties(), deep).plan.ops.length).toBeGreaterThan(9 * layers);
  });
});
