import { readTensor, tensorPlaces } from "./tensor-files.ts";
import { tiesOracle } from "./ties.ts";

export interface CheckRequest {
  base: string;
  models: readonly { folder: string; weight: number; density: number }[];
  lambda: number;
  merged: string;
}

export interface CheckResult {
  tensors: number;
  elements: number;
  /** Of those, how many the merge changed from the base. */
  changed: number;
  /** How many are the float64 result, rounded once to bfloat16. */
  exact: number;
  /** How many are neither that nor within what work in float32 explains. */
  wrong: number;
}

/** Tensors up to this size are checked whole, larger ones at `SAMPLES` places. */
const WHOLE = 1_000_000;
const SAMPLES = 50_000;
/** Tensors beyond this size are left out: sorting their differences would take the demo's time. */
const LARGEST = 4_000_000;

/** Recomputes tensors of a TIES merge in float64 from the input files and compares the output file with them. */
export function checkTies(request: CheckRequest): CheckResult {
  const basePlaces = tensorPlaces(request.base);
  const merged = tensorPlaces(request.merged);
  const models = request.models.map((model) => ({ ...model, places: tensorPlaces(model.folder) }));
  const result = { tensors: 0, elements: 0, changed: 0, exact: 0, wrong: 0 };
  for (const [name, place] of basePlaces) {
    if (place.count > LARGEST) continue;
    const output = merged.get(name);
    if (output === undefined) throw new Error(`the merged model has no ${name}`);
    const base = readTensor(place);
    const inputs = models.map(({ places, weight, density }) => {
      const input = places.get(name);
      if (input === undefined) throw new Error(`an input has no ${name}`);
      return { values: readTensor(input), weight, density };
    });
    const expected = tiesOracle(base, inputs, request.lambda);
    const actual = readTensor(output);
    const stride = place.count <= WHOLE ? 1 : Math.floor(place.count / SAMPLES);
    for (let i = 0; i < place.count; i += stride) {
      const value = actual[i] as number;
      const ideal = expected(i);
      if (value === toBfloat16(ideal)) result.exact++;
      else if (!explainedByFloat32(value, ideal, largestAt(i, base, inputs))) result.wrong++;
      if (value !== base[i]) result.changed++;
      result.elements++;
    }
    result.tensors++;
  }
  return result;
}

const scratch = new DataView(new ArrayBuffer(8));

/** The bfloat16 number closest to a float64 number; of two equally close ones, the even one. */
function toBfloat16(x: number): number {
  scratch.setFloat64(0, x);
  const bits = scratch.getBigUint64(0);
  // A float64 in bfloat16's normal range has 45 bits too many.
  const rounded = bits + 0xfff_ffff_ffffn + ((bits >> 45n) & 1n);
  scratch.setBigUint64(0, (rounded >> 45n) << 45n);
  return scratch.getFloat64(0);
}

/**
 * Whether a result of float32 arithmetic on numbers up to `largest`, rounded to bfloat16 (8 significant bits), may stand
 * where `ideal` is right: a few roundings in float32 can move a value over the middle between two bfloat16 numbers.
 */
function explainedByFloat32(actual: number, ideal: number, largest: number): boolean {
  return Math.abs(actual - ideal) <= Math.abs(ideal) * 2 ** -8 + largest * 2 ** -21;
}

function largestAt(i: number, base: Float32Array, inputs: readonly { values: Float32Array }[]): number {
  return Math.max(Math.abs(base[i] as number), ...inputs.map(({ values }) => Math.abs(values[i] as number)));
}
