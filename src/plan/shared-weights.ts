import type { Resolution } from "../architecture/types.ts";
import type { Problem, Report } from "../errors.ts";
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
 * Settles, once for the whole output, whether weights that may share storage with another do.
 *
 * `auto`: where every input of every such weight follows its tie, none is stored; where one input has a tensor of its
 * own, all are. `tied` stores none, and drops tensors of inputs that have their own; `materialize` stores all.
 */
export function settleSharedWeights(
  targets: readonly Target[],
  lmHead: MergeOptions["lmHead"],
  report: Report,
): SharedWeights {
  const shared = targets.filter((target) => target.spec.tie !== undefined || target.inputs.some(viaTie));
  if (shared.length === 0) return { targets, tied: [], tie: undefined };
  reportSurprises(shared, lmHead, report);
  const store = lmHead === "auto" ? shared.some((target) => target.inputs.some(hasOwn)) : lmHead === "materialize";
  const set = new Set(shared);
  if (!store) {
    return {
      targets: targets.filter((target) => !set.has(target)),
      tied: shared.map((target) => ({ tensor: target.spec.name, follows: followed(target) })),
      tie: true,
    };
  }
  const byName = new Map(targets.map((target) => [target.spec.name, target]));
  return {
    targets: targets.map((target) => (set.has(target) ? stored(target, byName) : target)),
    tied: [],
    tie: false,
  };
}

/** Where all inputs follow their tie, the stored tensor equals the one that is followed: it is made in the same way. */
function stored(target: Target, byName: ReadonlyMap<string, Target>): Target {
  const source = target.inputs.every(viaTie) ? byName.get(followed(target)) : undefined;
  return source === undefined ? target : { ...source, spec: target.spec, randomAs: source.spec.name };
}

function followed(target: Target): string {
  return target.spec.tie ?? target.inputs.find(viaTie)?.found?.name ?? "";
}

function viaTie({ found }: Target["inputs"][number]): boolean {
  return found?.via === "tie";
}

function hasOwn({ found }: Target["inputs"][number]): boolean {
  return found !== undefined && found.via !== "tie";
}

/** Names, once each, the models whose files are not what a reader of their config.json would expect. */
function reportSurprises(shared: readonly Target[], lmHead: MergeOptions["lmHead"], report: Report): void {
  const reported = new Set<string>();
  for (const target of shared) {
    target.inputs.forEach((input, i) => {
      const from = target.slice.sources[i]?.from;
      if (from === undefined || input.found === undefined) return;
      const surprise = describeSurprise(target, input.found, from.architecture.tied, lmHead);
      const key = `${surprise?.code} ${from.model.name}`;
      if (surprise === undefined || reported.has(key)) return;
      reported.add(key);
      report.warn({ ...surprise, model: from.model.name, tensor: input.name });
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
