import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Problem } from "../errors.ts";
import type { Addon, NativeError, NativeOp, NativeResult } from "../native.ts";
import { type DeviceRates, MEASURED_KERNELS, type Rates } from "./device-cost.ts";
import { leftOut } from "./devices.ts";

/** 16 MiB of each of three models in bfloat16, with four ops in flight: beyond what the passes of most CPUs cache. */
const SIZE = { rows: 2048, columns: 4096 };
/** Everything is measured again and again for so long, and the best taken: others may be at work. In seconds. */
const LEAST_TIME = 0.3;
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

/** What was measured, and of which devices not all was, and why. */
export interface Measured {
  rates: Rates;
  warnings: Problem[];
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
 * whole ops, as a merge runs them, but for writing. Takes some seconds for each. A device that fails is left out, and so is
 * a kernel that did not run there.
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
  time = LEAST_TIME,
): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), "sinter-measure-"));
  const handles: number[] = [];
  try {
    const source = await makeInputs(addon, join(folder, "tensors"), size);
    handles.push(source);
    const run: Measurement = async (kernel, place) => {
      said(`${kernel} on ${place === undefined ? "the CPU" : `cuda:${place}`}`);
      return await rateOf(addon, times(OPS, opOf(kernel, source, place !== undefined, size)), time);
    };
    said("reading");
    // What is read is written nowhere.
    const read = (await rateOf(addon, times(OPS, copyOf(source, size)), time)) / 2;
    const cpu = (await ofKernels(run, undefined)).rates;
    const measured: Record<string, DeviceRates> = {};
    const warnings: Problem[] = [];
    for (const device of devices) {
      try {
        addon.useDevices({ library, devices: [device], strict: true });
        const { rates: kernels, missing } = await ofKernels(run, device);
        const small = await overhead(addon, source, time);
        measured[device] = { ...(await transfers(addon, device, library, time)), kernels, overhead: small };
        if (missing.length > 0) warnings.push(notThere(device, missing));
      } catch (error) {
        if (!isOfDevice(error)) throw error;
        warnings.push(leftOut(`cuda:${device} could not be measured: ${error.message}`, AGAIN));
      } finally {
        addon.useDevices();
      }
    }
    return { rates: { read, cpu, devices: measured }, warnings };
  } finally {
    addon.useDevices();
    for (const handle of handles) addon.close(handle);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The rate of a kernel on the device of a number, or on the CPU. */
type Measurement = (kernel: Kernel, place: number | undefined) => Promise<number>;

/** Rates of kernels, and those that did not run there. */
async function ofKernels(
  run: Measurement,
  place: number | undefined,
): Promise<{ rates: Record<string, number>; missing: Kernel[] }> {
  const rates: Record<string, number> = {};
  const missing: Kernel[] = [];
  for (const kernel of kernels()) {
    try {
      rates[kernel] = await run(kernel, place);
    } catch (error) {
      if (!(error instanceof NotThere)) throw error;
      missing.push(kernel);
    }
  }
  if (missing.length === kernels().length) throw new NotThere();
  return { rates, missing };
}

/** The CPU did what the device was asked for: it had too little memory for the op, or has not the kernel. */
class NotThere extends Error {
  constructor() {
    super("it has too little free memory");
  }
}

const AGAIN = "measure again when nothing else uses it";

function notThere(device: number, kernels: readonly Kernel[]): Problem {
  return {
    code: "device-left-out",
    message: `cuda:${device} has too little free memory for ${kernels.join(", ")}: not measured there`,
    hint: `${AGAIN}; until then --device auto has the CPU do those`,
  };
}

/** Whether it is the device's failure, and not that of the files or of the CPU. */
function isOfDevice(error: unknown): error is Error {
  return error instanceof NotThere || (error instanceof Error && (error as NativeError).code === "DEVICE_FAILED");
}

/** The best of several measurements. */
async function transfers(addon: Addon, device: number, library: string | undefined, time: number) {
  const best = addon.measureTransfers(device, library);
  await repeated(time, () => {
    const { upload, download, copy } = addon.measureTransfers(device, library);
    best.upload = Math.max(best.upload, upload);
    best.download = Math.max(best.download, download);
    best.copy = Math.max(best.copy, copy);
  });
  return best;
}

/** Runs something for `time` seconds, once at least. @returns seconds that it took when it was quickest. */
async function repeated(time: number, run: () => unknown): Promise<number> {
  const end = performance.now() + 1000 * time;
  let best = Number.POSITIVE_INFINITY;
  do {
    const begun = performance.now();
    await run();
    best = Math.min(best, performance.now() - begun);
  } while (performance.now() < end);
  return best / 1000;
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
async function rateOf(addon: Addon, ops: readonly Op[], time: number): Promise<number> {
  await runAll(addon, ops);
  const seconds = await repeated(time, () => runAll(addon, ops));
  const bytes = ops.reduce((sum, { inputs, count }) => sum + 2 * count * (inputs.length + 1), 0);
  return bytes / seconds;
}

/** Returns, or throws, when all have ended: devices cannot be left before. @throws NotThere */
async function runAll(addon: Addon, ops: readonly Op[]): Promise<void> {
  const settled = await Promise.allSettled(ops.map((op) => addon.checksum(op)));
  const failed = settled.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  for (const [i, one] of settled.entries()) requireThere(ops[i], (one as PromiseFulfilledResult<NativeResult>).value);
}

/** An op that the CPU did in a device's place says nothing of the device. */
function requireThere(op: Op | undefined, { device }: NativeResult): void {
  if (op?.device && device === undefined) throw new NotThere();
}

/** Seconds of an op that has next to nothing to compute. */
async function overhead(addon: Addon, source: number, time: number): Promise<number> {
  const op = opOf("linear", source, true, SMALL);
  requireThere(op, await addon.checksum(op));
  const seconds = await repeated(time, async () => {
    for (let i = 0; i < SMALL_OPS; i++) await addon.checksum(op);
  });
  return seconds / SMALL_OPS;
}
