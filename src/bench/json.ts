import pkg from "../../package.json" with { type: "json" };
import { type BenchResult, type Effect, gigabytesPerSecond } from "./types.ts";

/** Raised when a key of the JSON goes or changes its meaning; new keys may come without. */
const FORMAT = 1;

/** The result as docs/bench.md describes it. What has no number is null. */
export function benchJson(result: BenchResult): object {
  return {
    format: FORMAT,
    sinter_version: pkg.version,
    reference: result.reference,
    base: result.base ?? null,
    machine: { cpu_target: result.machine.target, threads: result.machine.threads },
    repeat: result.repeat,
    sync: result.sync,
    seed: result.seed,
    scratch_in_memory: result.scratchInMemory,
    models: result.modelEffects.map(({ model, effects }) => ({ model, effects: effects.map(effectJson) })),
    methods: result.measured.map((measured) => ({
      method: measured.method,
      device: measured.device,
      recipe: measured.recipe,
      seconds: measured.seconds,
      runs: measured.runs,
      gigabytes_per_second: gigabytesPerSecond(measured),
      bytes_read: measured.bytesRead,
      bytes_written: measured.bytesWritten,
      tensors: measured.tensors,
      not_compared: measured.notCompared,
      effects: measured.effects.map(effectJson),
    })),
    skipped: result.skipped,
    warnings: result.warnings,
  };
}

function effectJson(effect: Effect): Record<string, unknown> {
  return {
    part: effect.part,
    tensors: effect.tensors,
    elements: effect.elements,
    reference_norm: effect.referenceNorm,
    change_norm: effect.changeNorm,
    relative_change: effect.relativeChange,
    cosines: effect.cosines,
    sign_conflicts: effect.signConflicts,
    density: effect.density,
  };
}
