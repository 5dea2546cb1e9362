import type { BenchResult, Effect, MeasuredMethod } from "../../src/bench/types.ts";

/** Figures that are easy to find again. */
export function effect(part: Effect["part"], changes: Partial<Effect> = {}): Effect {
  return {
    part,
    tensors: 3,
    elements: 1000,
    referenceNorm: 20,
    changeNorm: 2.5,
    relativeChange: 0.125,
    cosines: [0.75, -0.25],
    signConflicts: 0.4,
    density: 0.5,
    ...changes,
  };
}

export function measured(method: string, changes: Partial<MeasuredMethod> = {}): MeasuredMethod {
  return {
    method,
    device: "cpu",
    recipe: { merge_method: method, models: [{ model: "./x/a" }, { model: "./x/b", parameters: { weight: 0.5 } }] },
    runs: [2, 1, 1.5],
    seconds: 1.5,
    bytesRead: 2e9,
    bytesWritten: 1e9,
    tensors: 6,
    effects: [
      effect("attention"),
      effect("mlp", { changeNorm: 0, cosines: [Number.NaN, Number.NaN] }),
      effect("total"),
    ],
    notCompared: [],
    ...changes,
  };
}

/** A result of two models and a base, as a measurement would give it. */
export function result(changes: Partial<BenchResult> = {}): BenchResult {
  const effects = [effect("attention"), effect("mlp"), effect("total")];
  return {
    models: ["./x/a", "./x/b"],
    base: "./x/base",
    reference: "./x/base",
    machine: { target: "x86-64-v3", threads: 2 },
    repeat: 3,
    sync: true,
    seed: 7,
    scratchInMemory: false,
    modelEffects: [
      { model: "./x/a", effects },
      { model: "./x/b", effects },
    ],
    measured: [measured("linear"), measured("ties", { seconds: 12.345, runs: [12.345] })],
    skipped: [{ method: "slerp", reason: "merges 1 model besides the base, not 2" }],
    warnings: [{ code: "made-up", message: "a warning" }],
    ...changes,
  };
}
