import { DTYPE_BYTES } from "../model/dtype.ts";
import { elementCount } from "../model/types.ts";
import { gatherCounts } from "../plan/gather.ts";
import type { MergeOp, OpInput } from "../plan/types.ts";

/*
 * Whether the CPU or a device computes an op sooner, from what was measured on this machine. Pure arithmetic.
 *
 * CPU:    bytes / cpu[kernel]
 * device: overhead + max(bytes / kernels[kernel], read again / min(upload, read), written / download)
 *
 * `bytes` are all inputs and the output, once. Rates of kernels are those of whole ops whose inputs lie in the page cache:
 * reading, every pass, checksums. Inputs that do not all fit into the memory of one of the device's slots are read and
 * uploaded in each pass; of the output no more than two slices lie there.
 * Applying adapters and gathering rows counts on neither side: the CPU does it for both, in every pass or less.
 */

/** Bytes a second. */
export interface Rates {
  /** What all threads read of files in the page cache and checksum. */
  read: number;
  /** Of the CPU, by kernel: of whole ops. */
  cpu: Readonly<Record<string, number>>;
  /** By the device's number. Two of one name may differ: in what lies between them and the memory. */
  devices: Readonly<Record<string, DeviceRates>>;
}

/** Of one device: bytes a second, but for the overhead. */
export interface DeviceRates {
  /** Between pinned memory and the device. */
  upload: number;
  download: number;
  /** From one part of the host's memory to another, on one thread of those that feed the device. */
  copy: number;
  /** By kernel, of whole ops. */
  kernels: Readonly<Record<string, number>>;
  /** Seconds that an op takes whatever its size. */
  overhead: number;
}

/** What is measured, and the kernels that go through their inputs in the same passes with about the same work. */
export const MEASURED_KERNELS = {
  linear: ["task_arithmetic", "nearswap", "ram"],
  slerp: ["nuslerp", "nuslerp_base", "ramplus_tl"],
  karcher: ["model_stock", "multislerp", "multislerp_base"],
  ties: ["ties_count", "breadcrumbs", "breadcrumbs_ties"],
  dare_ties: ["dare_linear"],
  della: ["della_linear"],
  sce: [],
  arcee_fusion: [],
} as const;

/** How often a kernel goes through its inputs: to rank rows, to tally, to add up, to compute. */
export const PASSES: Readonly<Record<keyof typeof MEASURED_KERNELS, number>> = {
  linear: 1,
  slerp: 2,
  karcher: 2,
  ties: 2,
  dare_ties: 1,
  della: 2,
  sce: 3,
  arcee_fusion: 3,
};

/** The measured kernel that stands for another one. */
export function measuredKernel(kernel: string): keyof typeof MEASURED_KERNELS | undefined {
  for (const [measured, kin] of Object.entries(MEASURED_KERNELS)) {
    if (measured === kernel || (kin as readonly string[]).includes(kernel)) {
      return measured as keyof typeof MEASURED_KERNELS;
    }
  }
  return undefined;
}

/** Why no device computes an op, whatever it costs; undefined where one may. */
export function notForDevices(op: MergeOp): string | undefined {
  if (op.inputs.length === 0) return "made without an input";
  if (measuredKernel(op.kernel) === undefined) return "copied: nothing is computed";
  if (elementCount(op.shape) === 0) return "empty";
  return undefined;
}

const piecesOf = (input: OpInput): readonly Pick<OpInput, "view">[] => input.gather?.pieces ?? [input];

function workDtype({ dtype, inputs }: MergeOp): "F32" | "F64" {
  return [dtype, ...inputs.flatMap(piecesOf).map(({ view }) => view.dtype)].includes("F64") ? "F64" : "F32";
}

/**
 * Bytes of an element as a device takes it: as it is stored; or in the work type, where an adapter is applied, rows are
 * means of others, or come from files of several dtypes, since the CPU computes that on the way.
 */
function uploadedBytes(input: OpInput, work: "F32" | "F64"): number {
  const pieces = piecesOf(input);
  const [dtype, ...others] = new Set(pieces.map(({ view }) => view.dtype));
  const patched = pieces.some(({ view }) => (view.patches ?? []).length > 0);
  const averaged = input.gather !== undefined && gatherCounts(input.gather).means > 0;
  return DTYPE_BYTES[dtype === undefined || others.length > 0 || patched || averaged ? work : dtype];
}

export interface Estimate {
  /** Seconds. */
  cpu: number;
  device: number;
}

/**
 * @param number the device's.
 * @param memory bytes of its memory that the op gets.
 * @returns undefined where the op's kernel was not measured there or on the CPU.
 */
export function estimate(op: MergeOp, rates: Rates, number: number, memory: number): Estimate | undefined {
  const kernel = measuredKernel(op.kernel);
  const own = rates.devices[number];
  const cpu = kernel && rates.cpu[kernel];
  const device = kernel && own?.kernels[kernel];
  if (kernel === undefined || own === undefined || !cpu || !device) return undefined;
  const count = elementCount(op.shape);
  const written = count * DTYPE_BYTES[op.dtype];
  const read = op.inputs.reduce((sum, { view }) => sum + count * DTYPE_BYTES[view.dtype], 0);
  const sent = op.inputs.reduce((sum, input) => sum + count * uploadedBytes(input, workDtype(op)), 0);
  const uploads = sent <= memory ? 1 : PASSES[kernel];
  const transfer = Math.max((uploads * sent) / Math.min(own.upload, rates.read), written / own.download);
  return {
    cpu: (read + written) / cpu,
    device: own.overhead + Math.max((read + written) / device, transfer),
  };
}

/** A device is taken only where it is faster by more than measurements differ from run to run. */
const CLEARLY = 0.9;

export function isFasterOnDevice({ cpu, device }: Estimate): boolean {
  return device < CLEARLY * cpu;
}
