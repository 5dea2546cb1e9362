import { mkdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { SinterError } from "../errors.ts";
import { elementCount } from "../model/types.ts";
import type { Addon, NativeFactors } from "../native.ts";
import type { MergeOp } from "../plan/types.ts";
import { onFile } from "../run/file-error.ts";
import { nativeProblem } from "../run/native-error.ts";
import { nativeInputs } from "../run/native-inputs.ts";
import type { RunEvents } from "../run/types.ts";
import { extracted, makeRoom, type Room, withCommonRanks } from "./rooms.ts";
import type { DecomposedModule, ExtractedModule, ExtractOptions, Pair } from "./types.ts";

/** Bytes of differences that are decomposed at a time. */
const IN_FLIGHT = 256 << 20;

/**
 * Where differences are kept until they are decomposed: in memory where the system has a folder for that with room for
 * all that are under way, else on the output's disk.
 */
function differenceFolder(scratch: string, bytes: number): string {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    if (bavail * bsize > 4 * bytes) return MEMORY;
  } catch {
    // Not on this system.
  }
  return scratch;
}

const MEMORY = "/dev/shm";

/** Beside the output until they are written there. The plan's hash knows a file by its folder's name, too. */
export function factorsFile(scratch: string): string {
  const folder = join(scratch, "factors");
  onFile("cannot create the folder", folder, () => mkdirSync(folder, { recursive: true }));
  return join(folder, "adapter_factors");
}

/**
 * Decomposes the difference of every module and writes the factors to a file of `scratch`, several modules at a time.
 * Each difference is computed by the engine, as a merge is, into a file that is gone as soon as it was decomposed: the
 * memory that it takes is the system's cache.
 * @param onDevice large ones go to the device that was opened.
 * @throws SinterError for the first failure, after everything in flight has ended.
 */
export async function decomposeModules(
  modules: readonly DecomposedModule[],
  options: ExtractOptions,
  {
    scratch,
    addon,
    signal,
    events,
    onDevice,
  }: { scratch: string; addon: Addon; signal: AbortSignal; events: RunEvents; onDevice?: boolean },
): Promise<ExtractedModule[]> {
  const { rooms, size } = makeRoom(modules, options);
  const path = factorsFile(scratch);
  const sink = guarded(path, () => addon.createSink(path, size));
  const bytes = rooms.map(({ inputs, outputs }) => 4 * inputs * outputs);
  const threads = addon.info().threads;
  const workers = Math.max(1, Math.min(threads, Math.floor(IN_FLIGHT / Math.max(1, ...bytes))));
  const differences = differenceFolder(scratch, workers * Math.max(1, ...bytes));
  const each = Math.max(1, Math.floor(threads / workers));
  const handles = new Map<string, number>();
  const open = (file: string) => {
    const handle = handles.get(file) ?? guarded(file, () => addon.openSource(file).handle);
    handles.set(file, handle);
    return handle;
  };
  const results: ExtractedModule[] = new Array(rooms.length);
  const totalBytes = bytes.reduce((sum, one) => sum + one, 0);
  // Large ones first: the last to end are small.
  const order = rooms.map((_, index) => index).toSorted((a, b) => (bytes[b] as number) - (bytes[a] as number));
  let failure: { error: unknown } | undefined;
  let done = 0;
  const fail = (error: unknown) => {
    failure ??= { error };
    addon.cancel();
  };
  const abort = () => fail(signal.reason);
  const worker = async () => {
    for (let index = order.shift(); index !== undefined && failure === undefined; index = order.shift()) {
      const room = rooms[index] as Room;
      try {
        const found = await decomposeOne(room, index, options, {
          differences,
          addon,
          open,
          sink,
          threads: each,
          onDevice,
        });
        results[index] = extracted(room, found, path, options);
        done += bytes[index] as number;
        events.progress({ phase: "merging", bytes: done, totalBytes, earlierBytes: 0, tensor: room.module.path });
      } catch (error) {
        fail(error);
      }
    }
  };
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    await Promise.all(Array.from({ length: workers }, worker));
    if (failure === undefined) await addon.commitSink(sink, false);
    else addon.close(sink);
  } finally {
    signal.removeEventListener("abort", abort);
    for (const handle of handles.values()) addon.close(handle);
  }
  if (failure !== undefined) throw failure.error;
  return withCommonRanks(results, rooms);
}

async function decomposeOne(
  room: Room,
  index: number,
  options: ExtractOptions,
  {
    differences,
    addon,
    open,
    sink,
    threads,
    onDevice,
  }: {
    differences: string;
    addon: Addon;
    open: (file: string) => number;
    sink: number;
    threads: number;
    onDevice: boolean | undefined;
  },
): Promise<NativeFactors> {
  const { module, rank, dtype, a, b } = room;
  const path = join(differences, `sinter-difference-${process.pid}-${index}`);
  const op = differenceOp(module.weight);
  let source: number | undefined;
  try {
    source = await difference(op, path, addon, open);
    const [rows = 1, columns = 1] = op.shape;
    return await addon.decompose({
      source,
      offset: 0,
      rows,
      columns,
      transposed: module.isEmbedding || module.isTransposed,
      rank,
      epsilon: options.svEpsilon,
      share: options.energy ?? 1,
      distribute: options.distributeScale,
      seed: options.seed,
      threads,
      onDevice,
      sink,
      aOffset: a,
      bOffset: b,
      bWidth: module.together === undefined ? undefined : rank,
      dtype,
    });
  } catch (error) {
    if (error instanceof Error && /NaN or an infinity/.test(error.message)) throw notFinite(module);
    throw error instanceof SinterError ? error : new SinterError(nativeProblem(error, { op, path }));
  } finally {
    if (source !== undefined) addon.close(source);
  }
}

/** The fine-tune's tensor minus the base's, in float32. */
export function differenceOp({ name, tuned, tunedName, base, baseName }: Pair): MergeOp {
  const inputs = [
    { view: tuned, model: "the fine-tuned model", tensor: tunedName, position: 0 },
    { view: base, model: "the base model", tensor: baseName, position: 1 },
  ];
  return {
    tensor: name,
    dtype: "F32",
    shape: tuned.shape,
    shard: 0,
    offset: 0,
    kernel: "linear",
    inputs,
    params: [1, -1],
  };
}

/**
 * Computes a difference into a file that has no name any more when that begins: whatever ends the process, nothing of it
 * stays, in memory least of all. @returns the file's handle.
 */
async function difference(op: MergeOp, path: string, addon: Addon, open: (file: string) => number): Promise<number> {
  const count = elementCount(op.shape);
  const sink = addon.createSink(path, 4 * count);
  let source: number | undefined;
  try {
    try {
      source = addon.openSource(path).handle;
    } finally {
      rmSync(path, { force: true });
    }
    await addon.merge({
      kernel: op.kernel,
      ...nativeInputs(op.inputs, open),
      count,
      rows: op.shape[0] ?? 1,
      columns: op.shape.at(-1) ?? 1,
      params: [...op.params],
      seed: 0,
      tensor: op.tensor,
      sink,
      offset: 0,
      dtype: "F32",
      crc32: false,
    });
  } catch (error) {
    addon.close(sink);
    if (source !== undefined) addon.close(source);
    throw error;
  }
  await addon.commitSink(sink, false);
  return source;
}

function notFinite({ path, weight }: DecomposedModule): SinterError {
  return new SinterError({
    code: "not-finite",
    message: "the difference holds a NaN or an infinity, and has no singular values",
    tensor: weight.name,
    hint: `leave the module out: --exclude-regex '${path.replaceAll(".", "\\.")}'`,
  });
}

function guarded<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw new SinterError(nativeProblem(error, { path }));
  }
}
