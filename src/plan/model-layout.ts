import { type ExpandOptions, expandArchitecture } from "../architecture/expand.ts";
import { weightSpecs } from "../architecture/resolve.ts";
import type { Architecture } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import type { PlanModel } from "./models.ts";

export interface SettledLayout {
  models: ReadonlyMap<string, PlanModel>;
  /** Whether packed weights are taken apart. */
  split: boolean;
}

/**
 * Where some models pack weights in one tensor that others store apart, those are taken apart, and so is the output: a
 * part of a packed tensor lies in one piece and can be read as a tensor of its own. (The other way would copy.)
 * @returns undefined where the output's class loads packed weights only: then the report has an error. Where crimes are
 *   allowed, packed weights stay so, and what others store apart is left.
 */
export function settleLayout(
  models: ReadonlyMap<string, PlanModel>,
  donorKey: string,
  { allowCrimes, ...options }: ExpandOptions & { allowCrimes: boolean },
  report: Report,
): SettledLayout | undefined {
  const list = [...models.values()];
  const isPacked = ({ architecture }: PlanModel) => architecture.layout.kind === "packed";
  if (!list.some(isPacked) || list.every(isPacked)) return { models, split: false };
  const split = new Map<string, PlanModel>();
  for (const [key, one] of models) {
    const architecture = isPacked(one)
      ? expandArchitecture(one.model, report, { ...options, split: true })
      : one.architecture;
    if (architecture === undefined) return undefined;
    split.set(key, { ...one, architecture });
  }
  const separate = storedApart(models, split);
  if (separate === undefined) return { models, split: false };
  const donor = models.get(donorKey) as PlanModel;
  if (!isPacked(donor) || !donor.architecture.layout.fixed) return { models: split, split: true };
  const problem = {
    code: "packed-weights",
    message:
      `${donor.model.name} stores several weights in one tensor that ${separate.model.name} stores apart, and ` +
      `${donor.architecture.architecture} loads them in one tensor only`,
    at: donor.at,
    model: donor.model.name,
    hint: `name ${separate.model.name} as base_model, or first: then the output stores them apart`,
  };
  if (allowCrimes) report.warn(problem);
  else report.error(problem);
  return allowCrimes ? { models, split: false } : undefined;
}

/** A model that has more in common with the packed ones once they are taken apart. */
function storedApart(
  models: ReadonlyMap<string, PlanModel>,
  split: ReadonlyMap<string, PlanModel>,
): PlanModel | undefined {
  const changed = [...models].find(([key, one]) => split.get(key)?.architecture !== one.architecture);
  if (changed === undefined) return undefined;
  const before = keysOf(changed[1].architecture);
  const after = keysOf((split.get(changed[0]) as PlanModel).architecture);
  const common = (keys: ReadonlySet<string>, others: ReadonlySet<string>) =>
    [...keys].reduce((count, key) => count + (others.has(key) ? 1 : 0), 0);
  return [...models.values()].find(({ architecture }) => {
    if (architecture.layout.kind === "packed") return false;
    const keys = keysOf(architecture);
    return common(keys, after) > common(keys, before);
  });
}

function keysOf(architecture: Architecture): Set<string> {
  return new Set(weightSpecs(architecture).map(({ key }) => key));
}
