import { type Problem, SinterError } from "../errors.ts";
import type { Addon, DirectUse, NativeDevice, NativeDevices, NativeForwardDevice } from "../native.ts";
import type { MergeOp, MergePlan } from "../plan/types.ts";
import { estimate, isFasterOnDevice, notForDevices, type Rates } from "./device-cost.ts";
import { fingerprintOf, hasRates, readRates } from "./device-rates.ts";

/** What may compute besides the CPU. None of it changes a byte of the output. */
export interface DeviceRequest {
  /** `cuda`: all that a device can compute goes there; without one that is an error. `auto`: what is faster there. */
  mode: "cuda" | "auto";
  /** A device's number, or all of them. */
  device: number | "all";
  /** Bytes of each device's memory; undefined: most of what is free. */
  memory?: number | undefined;
  /** Little host memory for copies, at the price of their speed. */
  lowMemory: boolean;
  /** Unless given, `auto`. */
  direct?: DirectUse | undefined;
}

/** Where ops go. */
export interface DeviceUse {
  /** As `cuda:0 (name)`; empty: the CPU computes everything. */
  devices: readonly string[];
  /** Why there are none. */
  reason: string;
  choose(op: MergeOp): DeviceChoice;
}

export interface DeviceChoice {
  device: boolean;
  /** In few words. */
  reason: string;
}

/** Host memory for copies to each device: `kUsualPinned` in native/device/pipeline.h, and where little is wanted. */
const USUAL_PINNED = 192 << 20;
const LOW_PINNED = 16 << 20;

/** The library's file that the environment names. */
export function deviceLibrary(): string | undefined {
  return process.env.SINTER_DEVICE_LIBRARY || undefined;
}

/**
 * What a forward pass multiplies on: a device that was asked for by name; undefined: the CPU. Where it fails, or there is
 * no cuBLAS, the CPU goes on.
 */
export function forwardDevice(request: DeviceRequest | undefined): NativeForwardDevice | undefined {
  if (request?.mode !== "cuda") return undefined;
  return {
    library: deviceLibrary(),
    cublas: process.env.SINTER_CUBLAS_LIBRARY || undefined,
    index: request.device === "all" ? 0 : request.device,
    memory: request.memory,
    strict: false,
  };
}

/** @throws SinterError where a device is asked for and cannot be had, before anything is done. */
export function requireDevices(request: DeviceRequest, addon: Addon): void {
  if (request.mode === "auto") return;
  const problem = missing(request, addon.devices(deviceLibrary()));
  if (problem !== undefined) throw new SinterError(problem);
}

const HINTS: Readonly<Record<NonNullable<NativeDevices["lack"]>["what"], string>> = {
  library:
    "install the package of Sinter for CUDA, or build it with bun run build --cuda; SINTER_DEVICE_LIBRARY names it " +
    "elsewhere. --device auto goes on without",
  version: "build or install the library and Sinter from one version. --device auto goes on without",
  device: "sinter doctor says what it finds of driver and devices. --device auto goes on without",
};

/** What stands between the request and a device. */
function missing(request: DeviceRequest, { devices, lack }: NativeDevices): Problem | undefined {
  if (lack !== undefined) return { code: "no-device", message: lack.message, hint: HINTS[lack.what] };
  const wanted = request.device === "all" ? [...devices.keys()] : [request.device];
  for (const index of wanted) {
    const device = devices[index];
    const there = [...devices.keys()].map((i) => `cuda:${i}`).join(", ");
    if (device === undefined) {
      return { code: "no-device", message: `there is no device cuda:${index}`, hint: `there is ${there}` };
    }
    if (device.failure !== undefined) {
      return { code: "no-device", message: `cuda:${index} cannot be used: ${device.failure}`, hint: HINTS.device };
    }
  }
  return undefined;
}

const NOT_MEASURED = "no GPU was measured (sinter doctor --measure, once on a machine that has one)";

const CPU_CHOICE = (reason: string): DeviceUse => ({
  devices: [],
  reason,
  choose: () => ({ device: false, reason }),
});

/**
 * Decides where ops go, without taking anything of a device yet.
 * @param threads that the CPU would compute with.
 * @throws SinterError where a device is asked for and cannot be had.
 */
export function chooseDevices(
  request: DeviceRequest,
  addon: Addon,
  threads = addon.info().threads,
): DeviceUse & { numbers: number[] } {
  if (request.mode === "auto" && !hasRates()) return { ...CPU_CHOICE(NOT_MEASURED), numbers: [] };
  const found = addon.devices(deviceLibrary());
  const problem = missing(request, found);
  if (problem !== undefined) {
    if (request.mode === "cuda") throw new SinterError(problem);
    return { ...CPU_CHOICE(problem.message), numbers: [] };
  }
  const numbers = request.device === "all" ? [...found.devices.keys()] : [request.device];
  const used = numbers.map((index) => found.devices[index] as NativeDevice);
  const devices = numbers.map((index, i) => `cuda:${index} (${used[i]?.name})`);
  if (request.mode === "cuda") return { devices, reason: "", numbers, choose: whatItCan };
  const rates = readRates(fingerprintOf(found.devices, threads));
  if (rates === undefined) {
    return {
      ...CPU_CHOICE("GPUs, driver, threads or Sinter are not those that sinter doctor --measure measured"),
      numbers: [],
    };
  }
  const places = numbers.map((number, i) => ({ number, memory: request.memory ?? (used[i] as NativeDevice).free }));
  return { devices, reason: "", numbers, choose: (op) => whatIsFaster(op, rates, places) };
}

function whatItCan(op: MergeOp): DeviceChoice {
  const refusal = notForDevices(op);
  return refusal === undefined ? { device: true, reason: "asked for" } : { device: false, reason: refusal };
}

/**
 * Which of several devices gets an op is decided when it is queued, by what they have to do then. So it goes to one only
 * where each of them would be faster than the CPU.
 * @param places devices, with the bytes of memory that an op may take there.
 */
function whatIsFaster(op: MergeOp, rates: Rates, places: readonly { number: number; memory: number }[]): DeviceChoice {
  const refusal = notForDevices(op);
  if (refusal !== undefined) return { device: false, reason: refusal };
  for (const { number, memory } of places) {
    const seconds = estimate(op, rates, number, memory);
    if (seconds === undefined) return { device: false, reason: `${op.kernel} was not measured on cuda:${number}` };
    if (!isFasterOnDevice(seconds)) {
      const where = places.length > 1 ? ` than cuda:${number}` : "";
      return { device: false, reason: `the CPU is as fast or faster${where}` };
    }
  }
  return { device: true, reason: "faster by the measured rates" };
}

/**
 * Lets the addon's ops go to devices from now on. What a device gave up is computed by the CPU, or an error where a
 * device was asked for by name.
 */
export function useDevices(request: DeviceRequest, addon: Addon): DeviceUse {
  const use = chooseDevices(request, addon);
  if (use.numbers.length === 0) {
    addon.useDevices();
    return use;
  }
  addon.useDevices({
    library: deviceLibrary(),
    devices: use.numbers,
    memory: request.memory,
    pinned: request.lowMemory ? LOW_PINNED : undefined,
    direct: request.direct,
    cufile: process.env.SINTER_CUFILE_LIBRARY || undefined,
    strict: request.mode === "cuda",
  });
  return use;
}

/** Bytes of host memory that copies to the devices take. */
export function pinnedMemory({ lowMemory }: DeviceRequest, { devices }: DeviceUse): number {
  return devices.length * (lowMemory ? LOW_PINNED : USUAL_PINNED);
}

/** How many of a plan's tensors go where, and why: a line for each reason, devices first. */
export function deviceSummary(plan: MergePlan, use: DeviceUse): string[] {
  if (use.devices.length === 0) return [`CPU: ${use.reason}`];
  const counts = new Map<string, { kernels: Set<string>; tensors: number; device: boolean }>();
  for (const op of plan.ops) {
    const { device, reason } = use.choose(op);
    const key = `${device ? use.devices.join(", ") : "CPU"}: ${reason}`;
    const found = counts.get(key) ?? { kernels: new Set(), tensors: 0, device };
    found.kernels.add(op.kernel);
    found.tensors++;
    counts.set(key, found);
  }
  return [...counts]
    .toSorted(([, a], [, b]) => Number(b.device) - Number(a.device))
    .map(([key, { kernels, tensors }]) => `${key}  (${tensors} tensors: ${[...kernels].join(", ")})`);
}
