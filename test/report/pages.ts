import { benchPage } from "../../src/bench/page.ts";
import { differenceOf, type TensorSums } from "../../src/diff/figures.ts";
import { diffPage } from "../../src/diff/page.ts";
import type { DiffResult } from "../../src/diff/types.ts";
import type { MergeOp } from "../../src/plan/types.ts";
import type { MeasuredTensor } from "../../src/report/measure.ts";
import { mergePage } from "../../src/report/merge-page.ts";
import { mixturePage } from "../../src/report/mixture-page.ts";
import type { MergeSpeed } from "../../src/report/sections.ts";
import { transplantPage } from "../../src/report/transplant-page.ts";
import { result } from "../bench/results.ts";
import { configOf, planned, trio } from "../moe/mixtures.ts";
import { plan as planOf, type TinyModel, tinyModel } from "../plan/models.ts";

const RECIPE = `merge_method: task_arithmetic
base_model: base
models:
- {model: a, parameters: {weight: [0, 1]}}
- {model: b, parameters: {weight: [{filter: mlp, value: [1, 0.25]}, {value: 0.5}]}}
dtype: bfloat16
`;

const SPEED: MergeSpeed = { seconds: 1.25, bytesRead: 3e9, bytesWritten: 1e9, threads: 2, target: "x86-64-v3" };

/** Made-up figures of tensors: waves over layers and modules, the same on every machine. */
export function figures(ops: readonly MergeOp[], reference: string): MeasuredTensor[] {
  return ops.map((op, i): MeasuredTensor => {
    const wave = (phase: number) => (i * (phase + 3)) % 11;
    const isNorm = op.tensor.includes("norm");
    const inputs = op.inputs.map(({ model }, k) => {
      const change = isNorm && k === 1 ? 0 : 0.01 * (1 + wave(k));
      return {
        model,
        isReference: model === reference,
        squares: 4,
        distance: 0.002 * (k + wave(k + 1)),
        change,
        product: change * ((wave(k) - 5) / 6),
      };
    });
    const squares = 4 * (1 + (wave(2) - 5) / 500);
    const made = { nonFinite: 0, change: 0.02, changed: 16, conflicts: wave(1), others: 2 };
    return { op, elements: 16, squares, ...made, inputs };
  });
}

function madeUp(tiny: TinyModel) {
  const { plan } = planOf(
    RECIPE,
    ["base", "a", "b"].map((name) => tinyModel(name, tiny)),
  );
  const tensors = figures(plan.ops, "base");
  return { plan, tensors };
}

export function examplePage(tiny: TinyModel = { layers: 24 }): string {
  const { plan, tensors } = madeUp(tiny);
  return mergePage({
    name: "merged",
    plan,
    measure: {
      tensors,
      notCompared: [{ tensor: "model.rotary.inv_freq", reason: "made of no input" }],
      bytesRead: 1,
      seconds: 1,
    },
    speed: SPEED,
  });
}

const THRESHOLDS = [1e-4, 1e-3];

/** Sums as native code gives them, of two models that went different ways from a base. */
function sums(step: number): TensorSums {
  const wave = (phase: number) => (step * (phase + 3)) % 7;
  const [a, b, d] = [4, 4.01, 0.001 * (1 + wave(0))];
  const [p, q] = [0.0005 * (1 + wave(1)), 0.0007 * (1 + wave(2))];
  const product = ((wave(3) - 3) / 4) * Math.sqrt(p * q);
  const counts = [900 - 40 * wave(4), 300 - 30 * wave(5)];
  const changed = 900 + wave(1);
  return {
    elements: 1000,
    withBase: true,
    sums: Float64Array.from([
      ...[a, b, (a + b - d) / 2, d, 950 - 50 * wave(0), 0, 0],
      ...counts,
      ...[4, p, q, product, 0, 800, 850, changed, 100 + 60 * wave(2)],
      0.01 * (1 + wave(6)),
    ]),
  };
}

/** A comparison of two models of eight layers with a base, from made-up sums. */
export function exampleDiff(): DiffResult {
  const modules = ["input_layernorm", "self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"];
  const layers = Array.from({ length: 8 }, (_, i) => String(i));
  const all = layers.flatMap((layer, i) =>
    modules.map((module, j) => ({ layer, module, sums: sums(i * modules.length + j) })),
  );
  const together = (pick: (one: (typeof all)[number]) => boolean) =>
    differenceOf(
      all.filter(pick).map((one) => one.sums),
      THRESHOLDS,
    );
  return {
    left: "./models/a",
    right: "./models/b",
    base: "./models/base",
    thresholds: THRESHOLDS,
    total: together(() => true),
    modules: modules.map((name) => ({ name, ...together(({ module }) => module === name) })),
    layers: layers.map((name) => ({ name, ...together(({ layer }) => layer === name) })),
    cells: all.map(({ layer, module, sums }) => ({ layer, module, ...differenceOf([sums], THRESHOLDS) })),
    tensors: all.map(({ layer, module, sums }) => {
      const tensor = `model.layers.${layer}.${module}.weight`;
      return { tensor, module, layer, ...differenceOf([sums], THRESHOLDS) };
    }),
    exact: [],
    onlyLeft: ["lm_head.weight"],
    onlyRight: [],
    notCompared: [{ tensor: "model.embed_tokens.weight", reason: "shapes [10, 4] and [12, 4]" }],
    notes: ["the vocabularies differ: rows of the 10 tokens that all have are compared"],
    bytesRead: 3e9,
    seconds: 1.5,
  };
}

const MIXTURE = `base_model: base
gate_mode: cheap_embed
experts:
- {source_model: a, positive_prompts: [numbers, "sums of numbers"], negative_prompts: [dragons]}
- {source_model: b, positive_prompts: [stories]}
- {source_model: a, positive_prompts: [poems], noise_scale: 0.01}
- {source_model: b, positive_prompts: ["a prompt that is much longer than there is room for on a page with many experts"]}
`;

/** A mixture of four experts in eight layers. */
export function exampleMixture(): string {
  const { plan, routers } = planned(MIXTURE, trio({ layers: 8 }));
  const layers = routers.map(({ layer }) => layer);
  const experts = [0, 1, 2, 3];
  const cosine = (layer: number, a: number, b: number) => (a === b ? 1 : (((a + 1) * (b + 1) + layer) % 9) / 5 - 0.8);
  // Only the third has noise: all other weights are copies.
  const tensors = figures(
    plan.ops.filter(({ inputs }) => inputs.length > 0),
    "",
  ).map((one) => {
    const distance = one.op.kernel === "assemble" ? 0.04 : 0;
    return { ...one, inputs: one.inputs.map((input) => ({ ...input, distance })) };
  });
  return mixturePage({
    name: "mixture",
    plan,
    config: configOf(MIXTURE),
    measure: { tensors, notCompared: [], bytesRead: 1, seconds: 1 },
    mixture: {
      routers: layers.map((layer) => ({
        layer,
        norms: experts.map((expert) => 1 + ((layer * 3 + expert) % 5) / 20),
        cosines: experts.map((a) => experts.map((b) => cosine(layer, a, b))),
      })),
      differences: layers.map((layer) => ({ layer, values: experts.map((e) => (e * (1 + ((layer + e) % 3))) / 40) })),
    },
    speed: SPEED,
  });
}

/** A model with another tokenizer: 300 tokens, a tenth of them approximated. */
export function exampleTransplant(): string {
  const { plan } = planOf("merge_method: passthrough\nmodels:\n- {model: a}\n", [tinyModel("a", { layers: 4 })]);
  const targets = Uint32Array.from({ length: 30 }, (_, i) => 10 * i);
  const view = { file: "", offset: 0, dtype: "BF16", shape: [300, 4] } as const;
  const matrices = (["embedding", "head"] as const).map((role) => ({
    tensor: role === "head" ? "lm_head.weight" : "model.embed_tokens.weight",
    role,
    original: view,
    donor: view,
    isVector: false,
    rotary: undefined,
    assignment: {
      shared: { original: new Uint32Array(), donor: new Uint32Array() },
      copied: { from: new Uint32Array(), to: new Uint32Array() },
      targets,
      counts: { exact: 255, byte: 10, prefix: 5, approximated: 30, zero: 0 },
    },
  }));
  const ofTokens = new Set(matrices.map(({ tensor }) => tensor));
  const others = plan.ops.filter(({ tensor }) => !ofTokens.has(tensor));
  const tensors = figures(others, "").map((one) => ({
    ...one,
    inputs: one.inputs.map((input) => ({ ...input, distance: 0 })),
  }));
  return transplantPage({
    name: "transplanted",
    plan: { ...plan, method: "transplant (omp, k = 64)", models: ["a", "org/donor"] },
    matrices,
    spelling: new Map(Array.from(targets, (id) => [id, `▁token${id}`])),
    measure: { tensors, notCompared: [], bytesRead: 1, seconds: 1 },
    rows: matrices.map(({ tensor }, i) => ({
      tensor,
      copied: { rows: 270, norm: 1.25 + i, nonFinite: 0, change: 0 },
      approximated: { rows: 30, norm: 0.9 + i, nonFinite: 0 },
      donorNorm: 2.5,
    })),
    speed: undefined,
  });
}

/** Pages that are held to a picture, by name. */
export const PAGES: Readonly<Record<string, () => string>> = {
  merge: () => examplePage({ layers: 8 }),
  bench: () => benchPage(result()),
  diff: () => diffPage(exampleDiff(), 5),
  mixture: exampleMixture,
  transplant: exampleTransplant,
};

// The pages as a program writes them: Observable Plot takes a process with a global `it` for a test, and draws otherwise there.
if (import.meta.main) console.log(JSON.stringify(Object.entries(PAGES).map(([name, render]) => [name, render()])));
