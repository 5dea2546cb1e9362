import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Addon, NativeOp } from "../native.ts";
import { MEASURED_KERNELS, type Rates } from "./device-cost.ts";

/** 16 MiB of each of three models in bfloat16: beyond a CPU's caches, and read again from the page cache. */
const ROWS = 2048;
const COLUMNS = 4096;
const MODELS = 3;
const BYTES = 2 * ROWS * COLUMNS;
/** Ops of one kernel, in flight together. */
const OPS = 4;
const SMALL = { rows: 64, columns: 64 };
const SMALL_OPS = 16;

type Kernel = keyof typeof MEASURED_KERNELS;
type Op = Omit<NativeOp, "sink" | "offset" | "crc32">;

/** Numbers for each kernel, of those that merges commonly have. */
const PARAMS: Readonly<Record<Kernel, number[]>> = {
  linear: [0.4, 0.3, 0.3],
  slerp: [0.5],
  karcher: [10, 1e-5],
  ties: [1, 1, 0, 0.5, Math.trunc(ROWS * COLUMNS * 0.5), 0.5, Math.trunc(ROWS * COLUMNS * 0.5)],
  dare_ties: [1, 1, 0, 0.5, 0.5, 0.5, 0.5],
  della: [1, 1, 0, 0.5, 0.5, 0.1, 0.5, 0.5, 0.1],
  sce: [0.5],
  arcee_fusion: [],
};

const INPUTS: Partial<Record<Kernel, number>> = { slerp: 2, arcee_fusion: 2 };

/**
 * Measures this machine, and one device that the addon may use, with made-up tensors in a temporary file: whole ops, as a
 * merge runs them, but for writing. Takes some seconds.
 * @param library the file of the library for accelerators, where it is not the usual one.
 * @param said is told what is being measured.
 */
export async function measureRates(
  addon: Addon,
  device: number,
  library: string | undefined,
  said: (what: string) => void,
): Promise<Rates> {
  const folder = mkdtempSync(join(tmpdir(), "sinter-measure-"));
  const handles: number[] = [];
  try {
    const source = await makeInputs(addon, join(folder, "tensors"));
    handles.push(source);
    const { upload, download, copy } = addon.measureTransfers(device, library);
    const run = (ops: readonly Op[]) => rateOf(addon, ops);
    said("reading");
    // What is read is written nowhere.
    const read = (await run(times(OPS, copyOf(source)))) / 2;
    const cpu: Record<string, number> = {};
    for (const kernel of kernels()) {
      said(`${kernel} on the CPU`);
      cpu[kernel] = await run(times(OPS, opOf(kernel, source, false)));
    }
    addon.useDevices({ library, devices: [device], strict: true });
    const onDevice: Record<string, number> = {};
    for (const kernel of kernels()) {
      said(`${kernel} on cuda:${device}`);
      onDevice[kernel] = await run(times(OPS, opOf(kernel, source, true)));
    }
    return { read, copy, upload, download, cpu, device: onDevice, overhead: await overhead(addon, source) };
  } finally {
    addon.useDevices();
    for (const handle of handles) addon.close(handle);
    rmSync(folder, { recursive: true, force: true });
  }
}

function kernels(): Kernel[] {
  return Object.keys(MEASURED_KERNELS) as Kernel[];
}

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value);
}

/** Normal numbers, as weights are, one model after the other. */
async function makeInputs(addon: Addon, file: string): Promise<number> {
  const sink = addon.createSink(file, MODELS * BYTES);
  await Promise.all(
    Array.from({ length: MODELS }, (_, model) =>
      addon.merge({
        kernel: "normal",
        inputs: [],
        count: ROWS * COLUMNS,
        rows: ROWS,
        columns: COLUMNS,
        params: [0.02],
        seed: model,
        tensor: "measure",
        dtype: "BF16",
        sink,
        offset: model * BYTES,
        crc32: false,
      }),
    ),
  );
  await addon.commitSink(sink, false);
  return addon.openSource(file).handle;
}

function opOf(kernel: Kernel, source: number, device: boolean, { rows, columns } = { rows: ROWS, columns: COLUMNS }): Op {
  return {
    kernel,
    inputs: Array.from({ length: INPUTS[kernel] ?? MODELS }, (_, k) => ({
      source,
      offset: k * BYTES,
      dtype: "BF16",
      stream: k,
    })),
    count: rows * columns,
    rows,
    columns,
    params: PARAMS[kernel],
    seed: 0,
    tensor: "measure",
    dtype: "BF16",
    device,
  };
}

function copyOf(source: number): Op {
  return { ...opOf("linear", source, false), kernel: "copy", inputs: [{ source, offset: 0, dtype: "BF16", stream: 0 }], params: [] };
}

/** Bytes of inputs and outputs a second; the first time, which starts threads and takes memory, is not counted. */
async function rateOf(addon: Addon, ops: readonly Op[]): Promise<number> {
  const once = () => Promise.all(ops.map((op) => addon.checksum(op)));
  await once();
  const begun = performance.now();
  await once();
  const seconds = (performance.now() - begun) / 1000;
  const bytes = ops.reduce((sum, { inputs, count }) => sum + 2 * count * (inputs.length + 1), 0);
  return bytes / seconds;
}

/** Seconds of an op that has next to nothing to compute. */
async function overhead(addon: Addon, source: number): Promise<number> {
  const op = opOf("linear", source, true, SMALL);
  await addon.checksum(op);
  const begun = performance.now();
  for (let i = 0; i < SMALL_OPS; i++) await addon.checksum(op);
  return (performance.now() - begun) / 1000 / SMALL_OPS;
}
