import { resolveWeight, weightSpecs } from "../architecture/resolve.ts";
import type { Resolution } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { type FloatDtype, isFloat } from "../model/dtype.ts";
import type { PlanModel } from "../plan/models.ts";
import type { PlacelessOp } from "../plan/place.ts";
import type { MergePlan } from "../plan/types.ts";
import { type GateMode, isRandom } from "./types.ts";

/** An op that waits for routing vectors: those of the experts, or that of the shared expert, in one layer. */
export interface RouterPlace {
  tensor: string;
  layer: number;
  of: "experts" | "shared";
}

/** Routing vectors of a mixture, row by row: experts first, then the shared expert where it has one. */
export interface Gates {
  /** [layers, rows, width]; with one layer only, it stands for all. */
  values: Float64Array;
  layers: number;
  rows: number;
  width: number;
}

/** A router of `rows` vectors: random, or to be filled in. */
export function routerOp(
  tensor: string,
  mode: GateMode,
  [rows, width]: readonly [rows: number, width: number],
  dtype: FloatDtype,
): PlacelessOp {
  const op = { tensor, dtype, shape: [rows, width], inputs: [] };
  if (!isRandom(mode)) return { ...op, kernel: "literal", params: [] };
  if (mode === "random") return { ...op, kernel: "normal", params: [1] };
  // What PyTorch draws a linear layer's weights from.
  const bound = Math.sqrt(1 / width);
  return { ...op, kernel: "uniform", params: [-bound, bound] };
}

/** The plan with the routers' numbers in it. @param experts how many rows belong to the routed experts. */
export function withGates(plan: MergePlan, routers: readonly RouterPlace[], gates: Gates, experts: number): MergePlan {
  const places = new Map(routers.map((place) => [place.tensor, place]));
  const ops = plan.ops.map((op) => {
    const place = places.get(op.tensor);
    if (place === undefined) return op;
    const layer = gates.layers === 1 ? 0 : place.layer;
    const [from, to] = place.of === "experts" ? [0, experts] : [experts, gates.rows];
    const start = layer * gates.rows;
    return { ...op, values: gates.values.subarray((start + from) * gates.width, (start + to) * gates.width) };
  });
  return { ...plan, ops };
}

/** The base's table of embeddings; undefined, with an error in the report, where it has none of floats. */
export function embeddingOf({ model, architecture, at }: PlanModel, report: Report): Resolution | undefined {
  const spec = weightSpecs(architecture).find(({ role }) => role === "embedding");
  const found = spec && resolveWeight(spec, model, architecture);
  if (found !== undefined && found.view.shape.length === 2 && isFloat(found.view.dtype)) return found;
  const message = "the model has no embedding, a matrix of floats with a row for each token";
  report.error({ code: "no-embedding", message, at, model: model.name, tensor: spec?.name });
  return undefined;
}
