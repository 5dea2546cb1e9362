import { readMergeConfig } from "../config/read.ts";
import { type Problem, Report, SinterError } from "../errors.ts";
import { openReference } from "../lora/open.ts";
import { formatModelRef } from "../model/ref.ts";
import type { Model } from "../model/types.ts";
import { buildPlan } from "../plan/build.ts";
import type { OpenModel } from "../plan/models.ts";
import type { MergePlan } from "../plan/types.ts";
import { benchRecipe } from "./recipe.ts";
import type { BenchRequest, PlannedMethod, Recipe, Skipped } from "./types.ts";

export interface BenchPlans {
  /**
   * A merge that is never run: its ops read every tensor of the reference model, then of each model, and so say which
   * tensors belong together.
   */
  counterparts: MergePlan;
  planned: readonly PlannedMethod[];
  skipped: readonly Skipped[];
  warnings: readonly Problem[];
}

/**
 * Plans a merge for every method that goes with the models. Reads headers only.
 * @throws SinterError where the models cannot be used, or no method goes with them.
 */
export function planBench(request: BenchRequest): BenchPlans {
  const open = openOnce(request.options.cacheDir);
  const warnings = new Map<string, Problem>();
  const plan = (recipe: Recipe): MergePlan => {
    const report = new Report();
    try {
      const config = readMergeConfig(JSON.stringify(recipe), "recipe", { strict: true }, report);
      return buildPlan(config, request.options, "bench", report, open);
    } catch (error) {
      throw error instanceof SinterError ? new SinterError(error.problems.map(withoutPlace)) : error;
    } finally {
      for (const warning of report.warnings.map(withoutPlace)) warnings.set(JSON.stringify(warning), warning);
    }
  };
  // First, because whatever is wrong with the models themselves stops it, too, and then every method.
  const counterparts = plan(everyModel(request));
  const planned: PlannedMethod[] = [];
  const skipped: Skipped[] = [];
  for (const method of request.methods) {
    const recipe = benchRecipe(method, request);
    const made = "reason" in recipe ? recipe : planOrReason(() => plan(recipe));
    if ("reason" in made) skipped.push({ method: method.name, reason: made.reason });
    else planned.push({ method, recipe: recipe as Recipe, plan: made });
  }
  if (planned.length === 0) throw new SinterError(skipped.map(unfitProblem));
  return { counterparts, planned, skipped, warnings: [...warnings.values()] };
}

/** The reference and all models as equals: linear takes any number of them and leaves none out. */
function everyModel({ models, base }: BenchRequest): Recipe {
  const all = base === undefined ? models : [base, ...models];
  return { merge_method: "linear", models: all.map((model) => ({ model, parameters: { weight: 1 } })) };
}

/** Headers are read once per model, not once per method. What is wrong with a model is reported each time. */
function openOnce(cacheDir: string | undefined): OpenModel {
  const opened = new Map<string, { model: Model | undefined; report: Report }>();
  return (named, into) => {
    const key = formatModelRef(named.ref);
    let known = opened.get(key);
    if (known === undefined) {
      const report = new Report();
      known = { model: openReference({ ref: named.ref }, { cacheDir }, report), report };
      opened.set(key, known);
    }
    for (const error of known.report.errors) into.error(error);
    for (const warning of known.report.warnings) into.warn(warning);
    return known.model;
  };
}

function planOrReason(plan: () => MergePlan): MergePlan | { reason: string } {
  try {
    return plan();
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    const [first, ...others] = error.problems;
    return { reason: `${first?.message}${others.length === 0 ? "" : ` (and ${others.length} more)`}` };
  }
}

/** A recipe made in memory has no lines that a user could look at. */
function withoutPlace({ at: _, ...problem }: Problem): Problem {
  return problem;
}

function unfitProblem({ method, reason }: Skipped): Problem {
  return { code: "method-unfit", message: `${method}: ${reason}` };
}
