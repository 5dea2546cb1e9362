import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Addon, NativeOp } from "../native.ts";
import { type DeviceRates, MEASURED_KERNELS, type Rates } from "./device-cost.ts";

/** 16 MiB of each of three models in bfloat16, with four ops in flight: beyond what the passes of most CPUs cache. */
const SIZE = { rows: 2048, columns: 4096 };
const MODELS = 3;
/** Ops of one kernel, in flight together. */
const OPS = 4;
const SMALL = { rows: 64, columns: 64 };
const SMALL_OPS = 16;

type Kernel = keyof typeof MEASURED_KERNELS;
type Op = Omit<NativeOp, "sink" | "offset" | "crc32">;

interface Size {
  rows: number;
  columns: number;
}

/** Bytes of one model. */
const bytesOf = ({ rows, columns }: Size) => 2 * rows * columns;

/** Numbers that merges commonly have, for `count` elements. */
const paramsOf = (count: number): Readonly<Record<Kernel, number[]>> => ({
  linear: [0.4, 0.3, 0.3],
  slerp: [0.5],
  karcher: [10, 1e-5],
  ties: [1, 1, 0, 0.5, Math.trunc(count * 0.5), 0.5, Math.trunc(count * 0.5)],
  dare_ties: [1, 1, 0, 0.5, 0.5, 0.5, 0.5],
  della: [1, 1, 0, 0.5, 0.5, 0.1, 0.5, 0.5, 0.1],
  sce: [0.5],
  arcee_fusion: [],
});

const INPUTS: Partial<Record<Kernel, number>> = { slerp: 2, arcee_fusion: 2 };

/**
 * Measures this machine and devices that the addon may use, one after the other, with made-up tensors in a temporary file:
 * whole ops, as a merge runs them, but for writing. Takes some seconds for each.
 * @param devices their numbers.
 * @param library the file of the library for accelerators, where it is not the usual one.
 * @param said is told what is being measured.
 */
export async function measureRates(
  addon: Addon,
  devices: readonly number[],
  library: string | undefined,
  said: (what: string) => void,
  size: Size = SIZE,
): Promise<Rates> {
  const folder = mkdtempSync(join(tmpdir(), "sinter-measure-"));
  const handles: number[] = [];
  try {
    const source = await makeInputs(addon, join(folder, "tensors"), size);
    handles.push(source);
    const run: Measurement = async (kernel, place) => {
      said(`${kernel} on ${place === undefined ? "the CPU" : `cuda:${place}`}`);
      return await rateOf(addon, times(OPS, opOf(kernel, source, place !== undefined, size)));
    };
    said("reading");
    // What is read is written nowhere.
    const read = (await rateOf(addon, times(OPS, copyOf(source, size)))) / 2;
    const cpu = await ofKernels(run, undefined);
    const measured: Record<string, DeviceRates> = {};
    for (const device of devices) {
      addon.useDevices({ library, devices: [device], strict: true });
      const kernels = await ofKernels(run, device);
      const small = await overhead(addon, source);
      measured[device] = { ...addon.measureTransfers(device, library), kernels, overhead: small };
      addon.useDevices();
    }
    return { read, cpu, devices: measured };
  } finally {
    addon.useDevices();
    for (const handle of handles) addon.close(handle);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The rate of a kernel on the device of a number, or on the CPU. */
type Measurement = (kernel: Kernel, place: number | undefined) => Promise<number>;

async function ofKernels(run: Measurement, place: number | undefined): Promise<Record<string, number>> {
  const rates: Record<string, number> = {};
  for (const kernel of kernels()) rates[kernel] = await run(kernel, place);
  return rates;
}

function kernels(): Kernel[] {
  return Object.keys(MEASURED_KERNELS) as Kernel[];
}

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value);
}

/** Normal numbers, as weights are, one model after the other. */
async function makeInputs(addon: Addon, file: string, size: Size): Promise<number> {
  const bytes = bytesOf(size);
  const sink = addon.createSink(file, MODELS * bytes);
  await Promise.all(
    Array.from({ length: MODELS }, (_, model) =>
      addon.merge({
        kernel: "normal",
        inputs: [],
        count: size.rows * size.columns,
        ...size,
        params: [0.02],
        seed: model,
        tensor: "measure",
        dtype: "BF16",
        sink,
        offset: model * bytes,
        crc32: false,
      }),
    ),
  );
  await addon.commitSink(sink, false);
  return addon.openSource(file).handle;
}

function opOf(kernel: Kernel, source: number, device: boolean, size: Size): Op {
  const count = size.rows * size.columns;
  return {
    kernel,
    inputs: Array.from({ length: INPUTS[kernel] ?? MODELS }, (_, k) => ({
      source,
      offset: k * bytesOf(size),
      dtype: "BF16",
      stream: k,
    })),
    count,
    ...size,
    params: paramsOf(count)[kernel],
    seed: 0,
    tensor: "measure",
    dtype: "BF16",
    device,
  };
}

function copyOf(source: number, size: Size): Op {
  const [input] = opOf("linear", source, false, size).inputs;
  return {
    ...opOf("linear", source, false, size),
    kernel: "copy",
    inputs: input === undefined ? [] : [input],
    params: [],
  };
}

/** Bytes of inputs and outputs a second; the first time, which starts threads and takes memory, is not counted. */
async function rateOf(addon: Addon, ops: readonly Op[]): Promise<number> {
  await runAll(addon, ops);
  const begun = performance.now();
  await runAll(addon, ops);
  const seconds = (performance.now() - begun) / 1000;
  const bytes = ops.reduce((sum, { inputs, count }) => sum + 2 * count * (inputs.length + 1), 0);
  return bytes / seconds;
}

/** Returns, or throws, when all have ended: devices cannot be left before. */
async function runAll(addon: Addon, ops: readonly Op[]): Promise<void> {
  const settled = await Promise.allSettled(ops.map((op) => addon.checksum(op)));
  const failed = settled.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** Seconds of an op that has next to nothing to compute. */
async function overhead(addon: Addon, source: number): Promise<number> {
  const op = opOf("linear", source, true, SMALL);
  await addon.checksum(op);
  const begun = performance.now();
  for (let i = 0; i < SMALL_OPS; i++) await addon.checksum(op);
  return (performance.now() - begun) / 1000 / SMALL_OPS;
}
