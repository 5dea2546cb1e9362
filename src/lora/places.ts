import { expandArchitecture } from "../architecture/expand.ts";
import { familiesFor } from "../architecture/families.ts";
import { resolveWeight, weightSpecs } from "../architecture/resolve.ts";
import type { Architecture, WeightSpec } from "../architecture/types.ts";
import { Report } from "../errors.ts";
import { DTYPE_BYTES } from "../model/dtype.ts";
import type { Model, TensorView } from "../model/types.ts";

/** Where a weight that an adapter names lies in a model. */
export interface Place {
  /** The tensor to change. It may be new: a head of its own where the model's follows its embedding. */
  name: string;
  /** All of that tensor. */
  whole: TensorView;
  /** The weight itself: the whole, or a part of it. */
  view: TensorView;
  /** Elements of the whole before it. */
  first: number;
  /** The weight follows another in the model; from here on it does not. */
  untied: boolean;
}

/** Finds weights by the names that a model's class has for them. */
export interface Places {
  find(name: string): Place | undefined;
  /** Whether a weight has a row for each token; of a model that cannot be understood, any may. */
  hasTokens(name: string): boolean;
  /** Weights that follow another in the model, and the tensor that each of them follows. */
  followers(): { name: string; view: TensorView; followed: string }[];
  /** How the model's family describes it; undefined where it cannot be understood. */
  architecture(): Architecture | undefined;
}

/**
 * Names in adapters are those of the class that was trained. Files may have other ones: without the class's prefix, or
 * as the family's definition lists them. The definition is read only where a name is not simply there.
 * @param definitions the user's definitions of families.
 */
export function placesIn(model: Model, definitions: string | undefined): Places {
  let understood: { architecture: Architecture | undefined; byName: Map<string, WeightSpec> } | undefined;
  const understand = () => {
    understood ??= understandModel(model, definitions);
    return understood;
  };
  return {
    architecture: () => understand().architecture,
    hasTokens(name) {
      const { architecture, byName } = understand();
      return architecture === undefined || spellings(name).some((spelling) => byName.get(spelling)?.role !== undefined);
    },
    followers() {
      const { architecture } = understand();
      return (architecture === undefined ? [] : weightSpecs(architecture)).flatMap((spec) => {
        const found = spec.tie === undefined ? undefined : resolveWeight(spec, model, architecture as Architecture);
        return found?.via === "tie" ? [{ name: spec.name, view: found.view, followed: found.name }] : [];
      });
    },
    find(name) {
      for (const spelling of spellings(name)) {
        const view = model.tensors.get(spelling);
        if (view !== undefined) return { name: spelling, whole: view, view, first: 0, untied: false };
      }
      const { architecture, byName } = understand();
      for (const spelling of spellings(name)) {
        const spec = byName.get(spelling);
        const place = spec && architecture && placeOf(spec, model, architecture);
        if (place !== undefined) return place;
      }
      return undefined;
    },
  };
}

/** The name itself first, then with and without the prefixes of classes that hold the model's body. */
function spellings(name: string): string[] {
  const bare = name.replace(/^(model|transformer|base_model)\./, "");
  return [...new Set([name, bare, `model.${name}`, `transformer.${name}`, `model.${bare}`])];
}

function understandModel(model: Model, definitions: string | undefined) {
  // Whoever uses the model reports on it.
  const unheard = new Report();
  const families = familiesFor([model], definitions, unheard);
  // Adapters may name what the model packs.
  const architecture = expandArchitecture(model, unheard, { families, split: true });
  const byName = new Map<string, WeightSpec>();
  for (const spec of architecture === undefined ? [] : weightSpecs(architecture)) {
    for (const name of [...spec.aliases, spec.name]) byName.set(name, spec);
  }
  return { architecture, byName };
}

function placeOf(spec: WeightSpec, model: Model, architecture: Architecture): Place | undefined {
  const found = resolveWeight(spec, model, architecture);
  if (found === undefined) return undefined;
  if (found.via === "tie") return { name: spec.name, whole: found.view, view: found.view, first: 0, untied: true };
  const whole = model.tensors.get(found.name) as TensorView;
  const first = (found.view.offset - whole.offset) / DTYPE_BYTES[whole.dtype];
  return { name: found.name, whole, view: found.view, first, untied: false };
}
