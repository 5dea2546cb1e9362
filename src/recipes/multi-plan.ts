import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { type MultiConfig, nearestMerge } from "../config/multi.ts";
import type { NamedModel } from "../config/types.ts";
import { Report, SinterError } from "../errors.ts";
import { type OpenNamed, openReference } from "../lora/open.ts";
import { formatModelRef, type ModelRef } from "../model/ref.ts";
import type { Model } from "../model/types.ts";
import { buildPlan } from "../plan/build.ts";
import { planHash } from "../plan/hash.ts";
import { multiText, normalText, recipeOptions } from "../plan/recipe.ts";
import type { MergeOptions, MergePlan, Recipe } from "../plan/types.ts";
import { allModels, closure, type GraphNode, mergeOrder } from "./merge-graph.ts";
import { sketchModel, withoutSketches } from "./sketch.ts";

/** Where the models of several merges are written to. */
export interface MultiFolders {
  /** The folder that holds a folder for each merge with a name. */
  intermediate: string;
  /** For the merge without one. */
  out: string;
}

/** One of several merges, planned. */
export interface PlannedMerge {
  /** Its name, or undefined for the final one. */
  name: string | undefined;
  folder: string;
  plan: MergePlan;
  /** Positions, in the list of all, of the merges that it is made of. */
  needs: readonly number[];
}

/**
 * Plans all merges of a file before any of them is carried out, in an order in which they can be.
 * @param report takes warnings, as do the plans.
 * @param open how models are opened that none of the merges makes.
 * @throws SinterError with everything that is wrong with the graph, or with the first merge that cannot be planned and all
 *   others that do not depend on it.
 */
export function planMulti(
  multi: MultiConfig,
  options: MergeOptions,
  folders: MultiFolders,
  report: Report,
  open: OpenNamed = (named, into) => openReference(named, options, into),
): readonly PlannedMerge[] {
  const order = mergeOrder(multi, report);
  const scratch = mkdtempSync(join(tmpdir(), "sinter-plan-"));
  try {
    const planner = new Planner(multi, options, folders, scratch, open);
    return planner.planAll(order, report);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

class Planner {
  readonly #multi: MultiConfig;
  readonly #options: MergeOptions;
  readonly #folders: MultiFolders;
  readonly #scratch: string;
  readonly #openModel: OpenNamed;
  /** Plans so far, by name, over sketches. */
  readonly #plans = new Map<string, { plan: MergePlan; from: readonly ModelRef[] }>();
  /** Folders by their sketches. */
  readonly #sketches = new Map<string, string>();

  constructor(multi: MultiConfig, options: MergeOptions, folders: MultiFolders, scratch: string, open: OpenNamed) {
    this.#openModel = open;
    this.#multi = multi;
    this.#options = options;
    this.#folders = folders;
    this.#scratch = scratch;
  }

  planAll(order: readonly GraphNode[], report: Report): readonly PlannedMerge[] {
    const failed = new Set<GraphNode>();
    const planned = order.map((node): PlannedMerge | undefined => {
      const plan = node.needs.some((need) => failed.has(need)) ? undefined : this.#plan(node, report);
      if (plan === undefined) failed.add(node);
      const { name } = node.merge;
      const folder = name === undefined ? resolve(this.#folders.out) : this.#folderOf(name);
      const needs = node.needs.map((need) => order.indexOf(need));
      return plan && { name, folder, plan: withoutSketches(plan, this.#sketches), needs };
    });
    report.throwIfErrors();
    return planned as PlannedMerge[];
  }

  /** Over sketches. @returns undefined where something is wrong: then the report has an error. */
  #plan(node: GraphNode, report: Report): MergePlan | undefined {
    const { name } = node.merge;
    const parts = closure(node);
    const config = { ...node.merge.config, text: parts.map(({ merge }) => merge.config.text).join("---\n") };
    const own = new Report();
    try {
      const title = name ?? basename(resolve(this.#folders.out));
      const open = (named: NamedModel, into: Report) => this.#open(named, into);
      const plan = buildPlan(config, this.#options, title, own, open, recipeOf(node, this.#options));
      if (name !== undefined) this.#sketch(name, plan, node);
      return plan;
    } catch (error) {
      if (!(error instanceof SinterError)) throw error;
      for (const problem of error.problems) report.error(problem);
      return undefined;
    } finally {
      for (const problem of own.warnings) report.warn(problem);
    }
  }

  #sketch(name: string, plan: MergePlan, node: GraphNode): void {
    const sketch = join(this.#scratch, name);
    sketchModel(plan, sketch);
    this.#sketches.set(sketch, this.#folderOf(name));
    this.#plans.set(name, { plan, from: this.#origins(node) });
  }

  /** The models of the user's that a merge is made from, over all merges between. */
  #origins(node: GraphNode): readonly ModelRef[] {
    const origins = new Map<string, ModelRef>();
    for (const { merge } of closure(node)) {
      for (const { ref } of allModels(merge.config)) {
        if (!this.#isMerge(ref)) origins.set(formatModelRef(ref), ref);
      }
    }
    return [...origins.values()];
  }

  #isMerge(ref: ModelRef): boolean {
    return this.#multi.merges.some(({ name }) => name === ref.model.path);
  }

  #open(named: NamedModel, report: Report): Model | undefined {
    const { path } = named.ref.model;
    const made = this.#plans.get(path);
    if (made === undefined) return this.#openGiven(named, report);
    const ref = { ...named.ref, model: { path: join(this.#scratch, path) } };
    const model = openReference({ ref, at: named.at }, this.#options, report);
    return (
      model && {
        ...model,
        ref: named.ref,
        name: formatModelRef(named.ref),
        cachedAs: made.plan.recipe?.options.loraCache,
        made: { plan: planHash(made.plan), from: made.from },
      }
    );
  }

  #openGiven(named: NamedModel, report: Report): Model | undefined {
    const found = new Report();
    const model = this.#openModel(named, found);
    const close = nearestMerge(named.ref.model.path, this.#multi);
    for (const problem of found.errors) {
      const unknown = problem.code === "model-not-found" && close !== undefined;
      report.error(unknown ? { ...problem, hint: `did you mean the merge ${close}?` } : problem);
    }
    for (const problem of found.warnings) report.warn(problem);
    return model;
  }

  #folderOf(name: string): string {
    return resolve(this.#folders.intermediate, name);
  }
}

/** Of a merge that is made of models alone, the recipe of a single merge. */
function recipeOf(node: GraphNode, options: MergeOptions): Recipe {
  const { config } = node.merge;
  if (node.needs.length === 0) {
    return { program: "merge", text: normalText(config), options: recipeOptions(options) };
  }
  const merges = closure(node).map(({ merge }) => (merge === node.merge ? { name: undefined, config } : merge));
  return { program: "multi", text: multiText(merges), options: recipeOptions(options) };
}
