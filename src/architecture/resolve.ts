import type { Model } from "../model/types.ts";
import type { Architecture, Resolution, WeightSpec } from "./types.ts";

/** All weights of all modules, in their order. */
export function weightSpecs(architecture: Architecture): WeightSpec[] {
  const specs: WeightSpec[] = [];
  for (const { before, layers, after } of architecture.modules) {
    specs.push(...before);
    for (const layer of layers) specs.push(...layer);
    specs.push(...after);
  }
  return specs;
}

/**
 * Finds a weight in a model: under its own name, else under an alias, else as the weight it is tied to.
 * @param architecture the one that `spec` is of: it has the weight that a tie names, too.
 * @returns undefined where the model has none of them.
 */
export function resolveWeight(spec: WeightSpec, model: Model, architecture: Architecture): Resolution | undefined {
  const tried = new Set<string>();
  let current: WeightSpec | undefined = spec;
  while (current !== undefined && !tried.has(current.name)) {
    const stored = findStored(current, model);
    if (stored !== undefined) return current === spec ? stored : { ...stored, via: "tie" };
    tried.add(current.name);
    const tie: string | undefined = current.tie;
    current = tie === undefined ? undefined : weightSpecs(architecture).find(({ name }) => name === tie);
  }
  return undefined;
}

function findStored(spec: WeightSpec, model: Model): Resolution | undefined {
  const own = model.tensors.get(spec.name);
  if (own !== undefined) return { view: own, name: spec.name, via: "own" };
  for (const name of spec.aliases) {
    const view = model.tensors.get(name);
    if (view !== undefined) return { view, name, via: "alias" };
  }
  return undefined;
}

/** Stored tensors that the family does not account for: no weight, no alias, no ignored buffer. In stored order. */
export function unknownTensors(model: Model, architecture: Architecture): string[] {
  const specs = weightSpecs(architecture);
  // Most models store every weight under its own name and nothing else: seen by counting, in a tenth of the time.
  let stored = 0;
  for (const { name } of specs) if (model.tensors.has(name)) stored++;
  if (stored === model.tensors.size) return [];
  const known = new Set(specs.flatMap(({ name, aliases }) => [name, ...aliases]));
  return [...model.tensors.keys()].filter(
    (name) => !known.has(name) && !architecture.ignored.some((pattern) => pattern.test(name)),
  );
}
