import { DTYPE_BYTES, type FloatDtype, isFloat } from "../model/dtype.ts";
import type { TensorView } from "../model/types.ts";
import type { NativeFactors } from "../native.ts";
import type { DecomposedModule, ExtractedModule, ExtractOptions } from "./types.ts";

/** Where the factors of each module may lie: there is room for as many as its rank may come to. */
export interface Room {
  module: DecomposedModule;
  dtype: FloatDtype;
  rank: number;
  inputs: number;
  outputs: number;
  a: number;
  b: number;
}

/** Room for all factors in one file, and that file's size in bytes. */
export function makeRoom(
  modules: readonly DecomposedModule[],
  options: ExtractOptions,
): { rooms: Room[]; size: number } {
  let size = 0;
  let start = 0;
  const sizes = modules.map((module) => {
    const [first = 1, second = 1] = module.weight.tuned.shape;
    return module.isEmbedding || module.isTransposed ? [second, first] : [first, second];
  });
  const least = new Map<string, number>();
  modules.forEach(({ together }, i) => {
    const rank = Math.min(options.maxRank, ...(sizes[i] as number[]));
    if (together !== undefined) least.set(together.word, Math.min(least.get(together.word) ?? rank, rank));
  });
  const rooms = modules.map((module, i): Room => {
    const { tuned } = module.weight;
    const [outputs = 1, inputs = 1] = sizes[i] as number[];
    const dtype = options.dtype ?? (isFloat(tuned.dtype) ? tuned.dtype : "F32");
    const own = module.together && least.get(module.together.word);
    const rank = own ?? Math.min(options.maxRank, inputs, outputs);
    const parameter = module.together?.parameter;
    // All A of a parameter follow one another, then all B.
    const [entry, count] = parameter === undefined ? [0, 1] : [parameter.entry, parameter.count];
    if (entry === 0) start = size;
    const a = start + entry * rank * inputs * DTYPE_BYTES[dtype];
    const b = start + (count * inputs + entry * outputs) * rank * DTYPE_BYTES[dtype];
    size = start + count * (inputs + outputs) * rank * DTYPE_BYTES[dtype];
    return { module, dtype, rank, inputs, outputs, a, b };
  });
  return { rooms, size };
}

/**
 * Where nothing is kept, factors of zeros: a module that `target_modules` names must have some. Nothing was written at
 * their place, and a new file holds zeros.
 */
export function extracted(
  { module, dtype, inputs, outputs, a, b, rank: room }: Room,
  found: NativeFactors,
  file: string,
  { energy, svEpsilon }: ExtractOptions,
): ExtractedModule {
  const rank = found.rank > 0 ? found.rank : energy === undefined && svEpsilon === 0 ? room : 1;
  const view = (offset: number, shape: readonly number[]): TensorView => ({ file, offset, dtype, shape });
  return {
    path: module.path,
    rank,
    energy: found.energy,
    kept: Math.min(found.kept, found.energy),
    iterations: found.iterations,
    onDevice: found.onDevice,
    refused: found.refused,
    a: view(a, [rank, inputs]),
    b: view(b, [outputs, rank]),
    together: module.together,
  };
}

/** Those that go together have the rank of the largest: zeros follow what was found of the others. */
export function withCommonRanks(modules: readonly ExtractedModule[], rooms: readonly Room[]): ExtractedModule[] {
  const most = new Map<string, number>();
  for (const { together, rank } of modules) {
    if (together !== undefined) most.set(together.word, Math.max(most.get(together.word) ?? 1, rank));
  }
  return modules.map((module, i) => {
    if (module.together === undefined) return module;
    const room = rooms[i] as Room;
    const rank = most.get(module.together.word) as number;
    const a = { ...module.a, shape: [rank, room.inputs] };
    const b = { ...module.b, shape: [room.outputs, rank], strides: [room.rank, 1] };
    return { ...module, rank, a, b };
  });
}
