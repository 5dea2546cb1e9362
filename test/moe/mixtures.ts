import { type Problem, Report, SinterError } from "../../src/errors.ts";
import { elementCount, type Model } from "../../src/model/types.ts";
import { readMixtureConfig } from "../../src/moe/config.ts";
import { type MixturePlan, planMixture } from "../../src/moe/plan.ts";
import { checkExperts } from "../../src/moe/prompt-check.ts";
import type { MixtureConfig, MixtureOptions } from "../../src/moe/types.ts";
import { DEFAULT_OPTIONS, type MergeOp } from "../../src/plan/types.ts";
import { sideText, type TinyModel, tinyModel } from "../plan/models.ts";

/** `base`, `a` and `b` of one class, with config.json as a real model has it. */
export function trio(tiny: TinyModel = {}): Model[] {
  const config = { hidden_size: 4, intermediate_size: 4, num_attention_heads: 2, ...tiny.config };
  return ["base", "a", "b"].map((name) => tinyModel(name, { ...tiny, config }));
}

/** A configuration of two experts with prompts. `extra` are lines at its end. */
export function recipe(extra = "", gate = "cheap_embed"): string {
  return `base_model: base
gate_mode: ${gate}
experts:
  - source_model: a
    positive_prompts: ["numbers"]
  - source_model: b
    positive_prompts: ["stories"]
${extra}`;
}

export function configOf(yaml: string, allowSame = false): MixtureConfig {
  const report = new Report();
  const config = readMixtureConfig(yaml, "moe.yml", { strict: false }, report);
  checkExperts(config, allowSame, report);
  report.throwIfErrors();
  return config;
}

export interface PlannedMixture extends MixturePlan {
  op(tensor: string): MergeOp;
  names: string[];
  config: Record<string, unknown>;
  warned: string[];
}

/** Plans a configuration over models that are found by their names. @throws SinterError */
export function planned(
  yaml: string,
  models: readonly Model[],
  options: Partial<MixtureOptions> = {},
  allowSame = false,
): PlannedMixture {
  const report = new Report();
  const chosen: MixtureOptions = { ...DEFAULT_OPTIONS, expertLayout: "separate", ...options };
  const mixture = planMixture(configOf(yaml, allowSame), chosen, "mixture", report, ({ ref, at }, into) => {
    const model = models.find(({ name }) => name === ref.model.path);
    if (model === undefined) into.error({ code: "no-model", message: `no ${ref.model.path}`, at });
    return model && { ...model, ref };
  });
  return {
    ...mixture,
    op: (tensor) => {
      const op = mixture.plan.ops.find((candidate) => candidate.tensor === tensor);
      if (op === undefined) throw new Error(`the output has no ${tensor}`);
      return op;
    },
    names: mixture.plan.ops.map(({ tensor }) => tensor),
    config: JSON.parse(sideText(mixture.plan, "config.json")),
    warned: report.warnings.map(({ code }) => code),
  };
}

/** Every problem of something that fails. */
export function problemsOf(fails: () => unknown): readonly Problem[] {
  try {
    fails();
  } catch (error) {
    if (error instanceof SinterError) return error.problems;
    throw error;
  }
  throw new Error("it did not fail");
}

/** Elements of all tensors of a plan. */
export function elements({ plan }: Pick<MixturePlan, "plan">): number {
  return plan.ops.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}
