import type { Place, Places } from "./places.ts";
import { type Factors, someOutputs } from "./product.ts";
import type { AdapterModule } from "./types.ts";

/** Linear layers that some classes keep as one, one below the other, and what they are called apart. */
const FUSED: readonly { whole: string; parts: readonly string[] }[] = [
  { whole: "qkv_proj", parts: ["q_proj", "k_proj", "v_proj"] },
  { whole: "W_pack", parts: ["q_proj", "k_proj", "v_proj"] },
  { whole: "gate_up_proj", parts: ["gate_proj", "up_proj"] },
];

/** A weight to change, its first row that is changed, and by which part of the product. */
export interface FusedPart {
  place: Place;
  firstRow: number;
  factors: Factors;
}

/**
 * Where a module is fused in the adapter and apart in the model, or the other way round.
 * @param all the adapter's modules: those beside this one say how long the parts are.
 * @returns undefined where it is neither.
 */
export function fusedParts(
  { path }: AdapterModule,
  factors: Factors,
  places: Places,
  outputsOf: (path: string) => number | undefined,
): FusedPart[] | undefined {
  const dot = path.lastIndexOf(".") + 1;
  const parent = path.slice(0, dot);
  const name = path.slice(dot);
  for (const { whole, parts } of FUSED) {
    const found = name === whole ? apart(parent, parts, factors, places) : undefined;
    const within =
      parts.includes(name) && found === undefined
        ? inWhole(`${parent}${whole}.weight`, parts.indexOf(name), factors, places, {
            outputs: parts.map((part) => outputsOf(parent + part)),
          })
        : undefined;
    if (found !== undefined || within !== undefined) return found ?? within;
  }
  return undefined;
}

function apart(parent: string, parts: readonly string[], factors: Factors, places: Places): FusedPart[] | undefined {
  const found = parts.map((part) => places.find(`${parent}${part}.weight`));
  let row = 0;
  const list: FusedPart[] = [];
  for (const place of found) {
    if (place === undefined) return undefined;
    const rows = place.view.shape[0] ?? 0;
    list.push({ place, firstRow: 0, factors: someOutputs(factors, row, row + rows) });
    row += rows;
  }
  return row === factors.outputs ? list : undefined;
}

/** Gate and up, and keys and values, are equally long: the whole's length says where each starts. */
function inWhole(
  name: string,
  index: number,
  factors: Factors,
  places: Places,
  { outputs }: { outputs: readonly (number | undefined)[] },
): FusedPart[] | undefined {
  const place = places.find(name);
  if (place === undefined) return undefined;
  const rows = place.view.shape[0] ?? 0;
  const isPair = outputs.length === 2;
  const key = outputs[1] ?? outputs[2] ?? (outputs[0] === undefined ? undefined : (rows - outputs[0]) / 2);
  const starts = isPair ? [0, rows / 2] : key === undefined ? [0] : [0, rows - 2 * key, rows - key];
  const firstRow = starts[index];
  return firstRow === undefined ? undefined : [{ place, firstRow, factors }];
}
