import { correspondingModule } from "../architecture/modules.ts";
import { resolveWeight } from "../architecture/resolve.ts";
import type { Architecture, ModuleSpec, Resolution, WeightSpec } from "../architecture/types.ts";
import { counterparts } from "./counterparts.ts";
import type { RecipeModule, Slice, Source } from "./sources.ts";
import type { RowGather } from "./types.ts";

/** One weight of the output, and what each source of its slice has for it. */
export interface Target {
  /** The weight as the output has it. */
  spec: WeightSpec;
  module: RecipeModule;
  slice: Slice;
  /** Where the weight lies in its slice, for gradients: 0 outside the layers, else from 0 to 1. */
  t: number;
  /** By source: the weight's name in that source (filters look at it), and where it lies; undefined where missing. */
  inputs: readonly TargetInput[];
  /** The folder that the weight's module has for itself. */
  folder?: string | undefined;
  /** The output weight whose random numbers these are, where it is not `spec.name`. */
  randomAs?: string | undefined;
}

export interface TargetInput {
  name: string;
  found: Resolution | undefined;
  /** Where its rows come from, where they are not those of `found` in their order. */
  gather?: RowGather | undefined;
}

/**
 * Every weight of the output in the order of its architecture. Weights before the layers are made of the sources of
 * the first slice, those after them of the sources of the last.
 */
export function findTargets(recipe: readonly RecipeModule[], output: Architecture): Target[] {
  const targets: Target[] = [];
  for (const module of recipe) {
    const spec = output.modules.find(({ name }) => name === module.name);
    const first = module.slices[0];
    const last = module.slices.at(-1);
    if (spec === undefined || first === undefined || last === undefined) continue;
    addOuter("before", spec, first, module, targets);
    addLayers(spec, module, targets);
    addOuter("after", spec, last, module, targets);
  }
  return targets;
}

function addOuter(
  part: "before" | "after",
  spec: ModuleSpec,
  slice: Slice,
  module: RecipeModule,
  targets: Target[],
): void {
  const columns = slice.sources.map((source) => counterparts(spec[part], sourceModule(source, module)?.[part] ?? []));
  add(spec[part], columns, { module, slice, t: 0, folder: spec.subfolder }, targets);
}

function addLayers(spec: ModuleSpec, module: RecipeModule, targets: Target[]): void {
  let output = 0;
  for (const slice of module.slices) {
    for (let index = 0; index < slice.layers; index++, output++) {
      const specs = spec.layers[output] ?? [];
      const columns = slice.sources.map((source) =>
        counterparts(specs, sourceModule(source, module)?.layers[source.start + index] ?? []),
      );
      const t = slice.layers > 1 ? index / (slice.layers - 1) : 1;
      add(specs, columns, { module, slice, t, folder: spec.subfolder }, targets);
    }
  }
}

function sourceModule(source: Source, module: RecipeModule): ModuleSpec | undefined {
  return correspondingModule(source.from.architecture, module);
}

/** One target for each of `specs`; `columns` holds, by source, the weights that go into them. */
function add(
  specs: readonly WeightSpec[],
  columns: readonly (readonly (WeightSpec | undefined)[])[],
  place: Pick<Target, "module" | "slice" | "t" | "folder">,
  targets: Target[],
): void {
  specs.forEach((spec, row) => {
    const inputs = place.slice.sources.map(({ from }, i): TargetInput => {
      const counterpart = columns[i]?.[row];
      if (counterpart === undefined) return { name: spec.name, found: undefined };
      return { name: counterpart.name, found: resolveWeight(counterpart, from.model, from.architecture) };
    });
    targets.push({ spec, ...place, inputs });
  });
}
