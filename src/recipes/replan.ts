import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { readFields } from "../config/fields.ts";
import { readModel } from "../config/model-ref.ts";
import { readMultiConfig } from "../config/multi.ts";
import { readMergeConfig } from "../config/read.ts";
import { parseYaml } from "../config/yaml.ts";
import { type Report, SinterError } from "../errors.ts";
import { openRawReference } from "../lora/open.ts";
import { buildPlan } from "../plan/build.ts";
import { buildFillPlan } from "../plan/fill.ts";
import { buildRawPlan } from "../plan/raw.ts";
import { DEFAULT_OPTIONS, type MergeOptions, type MergePlan, type Recipe } from "../plan/types.ts";
import { planMulti } from "./multi-plan.ts";

/** What messages call the text of a recipe. */
const FILE = "the recipe";

/** Why `replan` does not read a recipe; undefined where the plan follows from the models' headers alone. */
export function whyNotReplanned({ program, options }: Recipe): string | undefined {
  if (options.loraCache !== undefined) return "its adapters were applied in a cache beforehand";
  return program === "moe" || program === "transplant" ? "mixtures and transplants are not made again here" : undefined;
}

/**
 * Makes the plan that a recipe was recorded for, from the models that it names.
 * @param options folders of this machine; what decides bytes comes from the recipe.
 * @throws SinterError where that fails: commonly because a model is not here.
 */
export function replan(
  recipe: Recipe,
  options: Pick<MergeOptions, "cacheDir" | "architectures"> & {
    /** Where a recipe of several merges has those with names; only needed where their bytes are to be read. */
    intermediateDir?: string | undefined;
  },
  report: Report,
): MergePlan {
  const { tensors, expertLayout: _, loraCache: __, ...recorded } = recipe.options;
  const { intermediateDir = "intermediate", ...given } = options;
  const all: MergeOptions = { ...DEFAULT_OPTIONS, ...recorded, ...given };
  const reading = { strict: false, isPath: recipe.program === "raw" ? existsSync : undefined };
  switch (recipe.program) {
    case "merge":
      return buildPlan(readMergeConfig(recipe.text, FILE, reading, report), all, "merged", report);
    case "raw":
      return buildRawPlan(readMergeConfig(recipe.text, FILE, reading, report), all, tensors ?? "all", report);
    case "multi": {
      // Nothing is written to these folders.
      const folders = { intermediate: resolve(intermediateDir), out: resolve("merged") };
      const merges = planMulti(readMultiConfig(recipe.text, FILE, reading, report), all, folders, report);
      return (merges.find(({ name }) => name === undefined) ?? merges.at(-1))?.plan as MergePlan;
    }
    case "fill":
      return refill(recipe, all, report);
    case "moe":
      throw new SinterError({ code: "not-yet", message: "a mixture's routers take a forward pass to make again" });
    case "transplant":
      throw new SinterError({ code: "not-yet", message: "a transplant's rows take an approximation to make again" });
  }
}

function refill({ text }: Recipe, options: MergeOptions, report: Report): MergePlan {
  const root = parseYaml(text, FILE, report);
  const context = { report, strict: false };
  const fields = root && readFields(root, FILE, ["base_model", "model"], context);
  const [base, part] = (["base_model", "model"] as const).map((name) => {
    const named = fields?.[name] && readModel(fields[name].value, name, context);
    return named && openRawReference(named, options, report);
  });
  report.throwIfErrors();
  if (base === undefined || part === undefined) {
    throw new SinterError({ code: "recipe", message: "the recipe of sinter fill must name base_model and model" });
  }
  return buildFillPlan(base, part, options, report);
}
