import type { MergeConfig } from "../config/types.ts";
import { type Position, type Problem, Report, SinterError } from "../errors.ts";
import { buildPlan } from "../plan/build.ts";
import type { MergeOptions, MergePlan } from "../plan/types.ts";
import type { TokenModel } from "./models.ts";

const NOWHERE: Position = { file: "", line: 1, column: 1 };

/**
 * The plan that writes a model as it is: ties, carried tensors and files settled as for any merge.
 * @throws SinterError where the model cannot be written, e.g. because it lacks a tensor.
 */
export function planCopy(original: TokenModel, options: MergeOptions, name: string, report: Report): MergePlan {
  const model = { ref: original.model.ref, at: NOWHERE };
  const config: MergeConfig = {
    file: "",
    text: "",
    mergeMethod: "passthrough",
    mergeMethodAt: NOWHERE,
    parameters: new Map(),
    body: { kind: "whole", composition: { kind: "models", models: [{ model, parameters: new Map() }] } },
  };
  const copied: MergeOptions = { ...options, copyTokenizer: false, writeModelCard: false };
  const found = new Report();
  try {
    const plan = buildPlan(config, copied, name, found, () => original.model);
    for (const warning of found.warnings) report.warn(placeless(warning));
    return plan;
  } catch (error) {
    if (error instanceof SinterError) throw new SinterError(error.problems.map(placeless), error.exitCode);
    throw error;
  }
}

/** There is no configuration that a problem could have a place in. */
function placeless({ at: _, ...problem }: Problem): Problem {
  return problem;
}
