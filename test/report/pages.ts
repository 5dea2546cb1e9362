import { benchPage } from "../../src/bench/page.ts";
import type { MeasuredTensor } from "../../src/report/measure.ts";
import { mergePage } from "../../src/report/merge-page.ts";
import type { MergeSpeed } from "../../src/report/sections.ts";
import { result } from "../bench/results.ts";
import { plan as planOf, type TinyModel, tinyModel } from "../plan/models.ts";

const RECIPE = `merge_method: task_arithmetic
base_model: base
models:
- {model: a, parameters: {weight: [0, 1]}}
- {model: b, parameters: {weight: [{filter: mlp, value: [1, 0.25]}, {value: 0.5}]}}
dtype: bfloat16
`;

const SPEED: MergeSpeed = { seconds: 1.25, bytesRead: 3e9, bytesWritten: 1e9, threads: 2, target: "x86-64-v3" };

/** Made-up figures of every tensor of a plan: waves over layers and modules, the same on every machine. */
function madeUp(tiny: TinyModel) {
  const { plan } = planOf(
    RECIPE,
    ["base", "a", "b"].map((name) => tinyModel(name, tiny)),
  );
  const tensors = plan.ops.map((op, i): MeasuredTensor => {
    const wave = (phase: number) => (i * (phase + 3)) % 11;
    const isNorm = op.tensor.includes("norm");
    const inputs = op.inputs.map(({ model }, k) => {
      const change = isNorm && k === 1 ? 0 : 0.01 * (1 + wave(k));
      return {
        model,
        isReference: model === "base",
        squares: 4,
        distance: 0.002 * (k + wave(k + 1)),
        change,
        product: change * ((wave(k) - 5) / 6),
      };
    });
    const squares = 4 * (1 + (wave(2) - 5) / 500);
    return {
      op,
      elements: 16,
      squares,
      nonFinite: 0,
      change: 0.02,
      changed: 16,
      conflicts: wave(1),
      others: 2,
      inputs,
    };
  });
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

/** Pages that are held to a picture, by name. */
export const PAGES: Readonly<Record<string, () => string>> = {
  merge: () => examplePage({ layers: 12 }),
  bench: () => benchPage(result()),
};
