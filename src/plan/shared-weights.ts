import { resolveWeight, weightSpecs } from "../architecture/resolve.ts";
import type { Resolution } from "../architecture/types.ts";
import type { Problem, Report } from "../errors.ts";
import type { PlanModel } from "./models.ts";
import type { Target } from "./targets.ts";
import type { MergeOptions, MergePlan } from "./types.ts";

export interface SharedWeights {
  /** All targets that are stored. */
  targets: readonly Target[];
  tied: MergePlan["tied"];
  /** What config.json must say; undefined where the architecture shares nothing. */
  tie: boolean | undefined;
}

/**
 * Settles, once for the whole output, which of the weights that may share storage with another do.
 *
 * `auto`: where every model of the recipe follows a tie, the weight is not stored; where one has a tensor of its own,
 * it is, each input giving its own or the one it follows. Heads go together: they are what config.json speaks of.
 * `tied` stores none of them, and drops tensors of models that have their own; `materialize` stores all.
 */
export function settleSharedWeights(
  targets: readonly Target[],
  lmHead: MergeOptions["lmHead"],
  report: Report,
): SharedWeights {
  const shared = new Set(targets.filter((target) => target.spec.tie !== undefined || target.inputs.some(viaTie)));
  if (shared.size === 0) return { targets, tied: [], tie: undefined };
  const heads = new Set([...shared].filter(isHead));
  reportSurprises(heads, lmHead, report);
  const owned = ownKeys(targets);
  const own = (target: Target) => owned.has(target.spec.key) || target.inputs.some(isOwn);
  const headStored = lmHead === "materialize" || (lmHead === "auto" && [...heads].some(own));
  const isStored = (target: Target) => (isHead(target) ? headStored : own(target));
  const tied = [...shared].filter((target) => !isStored(target));
  const byName = new Map(targets.map((target) => [target.spec.name, target]));
  const materialized = (target: Target) => shared.has(target) && !own(target);
  return {
    targets: targets
      .filter((target) => !shared.has(target) || isStored(target))
      .map((target) => (materialized(target) ? sameAs(byName.get(followed(target)), target) : target)),
    tied: tied.map((target) => ({ tensor: target.spec.name, follows: followed(target) })),
    tie: heads.size === 0 ? undefined : !headStored,
  };
}

function isOwn({ found }: Target["inputs"][number]): boolean {
  return found !== undefined && found.via !== "tie";
}

function isHead({ spec }: Target): boolean {
  return spec.role === "head";
}

/** A stored weight that equals the one it follows: the same inputs, numbers and random draws, whatever the filters. */
function sameAs(source: Target | undefined, target: Target): Target {
  return source === undefined ? target : { ...source, spec: target.spec, randomAs: source.spec.name };
}

/** Every model that a layer of the output comes from: a head of its own counts, wherever the model stands. */
function sourceModels(targets: readonly Target[]): PlanModel[] {
  const slices = [...new Set(targets.map(({ module }) => module))].flatMap(({ slices }) => slices);
  return [...new Set(slices.flatMap(({ sources }) => sources.map(({ from }) => from)))];
}

/** Keys of the weights that could follow another and that some model stores. */
function ownKeys(targets: readonly Target[]): Set<string> {
  const keys = new Set<string>();
  for (const { model, architecture } of sourceModels(targets)) {
    for (const spec of weightSpecs(architecture)) {
      const own =
        spec.tie !== undefined && ["own", "alias"].includes(resolveWeight(spec, model, architecture)?.via ?? "");
      if (own) keys.add(spec.key);
    }
  }
  return keys;
}

function followed(target: Target): string {
  return target.spec.tie ?? target.inputs.find(viaTie)?.found?.name ?? "";
}

function viaTie({ found }: Target["inputs"][number]): boolean {
  return found?.via === "tie";
}

/** Names, once each, the models whose files are not what a reader of their config.json would expect. */
function reportSurprises(shared: ReadonlySet<Target>, lmHead: MergeOptions["lmHead"], report: Report): void {
  const reported = new Set<string>();
  for (const target of shared) {
    target.inputs.forEach((input, i) => {
      const from = target.slice.sources[i]?.from;
      if (from === undefined || input.found === undefined) return;
      const surprise = describeSurprise(target, input.found, from.architecture.tied, lmHead);
      const key = `${surprise?.code} ${from.model.name}`;
      if (surprise === undefined || reported.has(key)) return;
      reported.add(key);
      report.warn({ ...surprise, at: from.at, model: from.model.name, tensor: input.name });
    });
  }
}

function describeSurprise(
  target: Target,
  found: Resolution,
  tied: boolean,
  lmHead: MergeOptions["lmHead"],
): Problem | undefined {
  const own = found.via !== "tie";
  if (own && lmHead === "tied") {
    const message = `the model's own tensor is left out: in the output it follows ${followed(target)}`;
    return { code: "own-head-dropped", message };
  }
  if (own && tied) {
    const message = "config.json says that this tensor is tied, but the file stores one: the stored one is used";
    return { code: "tied-but-stored", message, hint: "--lm-head tied goes by the tie instead" };
  }
  if (!own && !tied) {
    const message = `config.json says that this tensor is not tied, but the file stores none: ${found.name} is used`;
    return { code: "untied-but-missing", message };
  }
  return undefined;
}
