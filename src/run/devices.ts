import { type Problem, SinterError } from "../errors.ts";
import type { Addon, DirectUse, NativeDevice, NativeDevices, NativeForwardDevice } from "../native.ts";
import type { MergeOp, MergePlan } from "../plan/types.ts";
import { estimate, isFasterOnDevice, notForDevices, type Rates } from "./device-cost.ts";
import { LOW_PINNED, pinnedOf, slotMemory } from "./device-memory.ts";
import { hasRates, ratesOf, readRates } from "./device-rates.ts";

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
  /** Of devices that are left out. */
  warnings: readonly Problem[];
  choose(op: MergeOp): DeviceChoice;
}

export interface DeviceChoice {
  device: boolean;
  /** In few words. */
  reason: string;
}

/** The library's file that the environment names. */
export function deviceLibrary(): string | undefined {
  return process.env.SINTER_DEVICE_LIBRARY || undefined;
}

/**
 * What a forward pass multiplies on: a device that was asked for by name, of all of them the first that can be used;
 * undefined: the CPU. Where it fails, or there is no cuBLAS, the CPU goes on.
 */
export function forwardDevice(request: DeviceRequest | undefined, addon: Addon): NativeForwardDevice | undefined {
  if (request?.mode !== "cuda") return undefined;
  return {
    library: deviceLibrary(),
    cublas: process.env.SINTER_CUBLAS_LIBRARY || undefined,
    index: request.device === "all" ? firstUsable(addon) : request.device,
    memory: request.memory,
    pinned: request.lowMemory ? LOW_PINNED : undefined,
    strict: false,
  };
}

/** Opens no more devices than it has to. */
function firstUsable(addon: Addon): number {
  const { count } = addon.devices(deviceLibrary(), []);
  for (let index = 0; index < count; index++) {
    const [device] = addon.devices(deviceLibrary(), [index]).devices;
    if (device !== undefined && device.failure === undefined) return index;
  }
  return 0;
}

/** @throws SinterError where a device is asked for and cannot be had, before anything is done. */
export function requireDevices(request: DeviceRequest, addon: Addon): void {
  if (request.mode === "cuda") findDevices(request, addon);
}

/** What to do where there is no library, one that does not fit, or no device. */
export const REMEDIES: Readonly<Record<NonNullable<NativeDevices["lack"]>["what"], string>> = {
  library:
    "install a release that has it, or build it with bun run build --cuda; SINTER_DEVICE_LIBRARY names it elsewhere",
  version: "build or install the library and Sinter from one version",
  device: "sinter doctor says what it finds of driver and devices",
};

const orWithout = (remedy: string) => `${remedy}. --device auto goes on without`;

interface FoundDevices {
  /** Those that can be used, at least one. */
  devices: NativeDevice[];
  warnings: Problem[];
}

/**
 * Opens the devices that are asked for, and no other. Of all of them, those that cannot be used are left out.
 * @throws SinterError that says which of library, driver or device is missing.
 */
function findDevices(request: DeviceRequest, addon: Addon): FoundDevices {
  const wanted = request.device === "all" ? undefined : [request.device];
  const { devices, count, lack } = addon.devices(deviceLibrary(), wanted);
  if (lack !== undefined) {
    throw new SinterError({ code: "no-device", message: lack.message, hint: orWithout(REMEDIES[lack.what]) });
  }
  if (devices.length === 0) {
    const there = Array.from({ length: count }, (_, index) => `cuda:${index}`).join(", ");
    const message = `there is no device cuda:${request.device}`;
    throw new SinterError({ code: "no-device", message, hint: `there is ${there}` });
  }
  const usable = devices.filter(({ failure }) => failure === undefined);
  const failed = devices.filter(({ failure }) => failure !== undefined);
  if (usable.length === 0) {
    const hint = orWithout(REMEDIES.device);
    throw new SinterError(
      failed.map(({ index, failure }) => ({
        code: "no-device",
        message: `cuda:${index} cannot be used: ${failure}`,
        hint,
      })),
    );
  }
  const warnings = failed.map(({ index, failure }) => leftOut(`cuda:${index} cannot be used: ${failure}`));
  return { devices: usable, warnings };
}

/** The warning of a device that is not used though all are asked for. */
export function leftOut(reason: string, hint: string = REMEDIES.device): Problem {
  return { code: "device-left-out", message: `${reason}: it is left out`, hint };
}

const MEASURE = "sinter doctor --measure measures all";
const NOT_MEASURED = "no GPU was measured (sinter doctor --measure, once on a machine that has one)";
const OTHER_MACHINE = "CPU, threads or Sinter are not those that sinter doctor --measure measured with";

type ChosenDevices = DeviceUse & { numbers: number[] };

const cpuChoice = (reason: string): ChosenDevices => ({
  devices: [],
  reason,
  warnings: [],
  numbers: [],
  choose: () => ({ device: false, reason }),
});

/**
 * Decides where ops go, without taking anything of a device yet. Devices are opened only where some may be used.
 * @param threads that the CPU would compute with.
 * @throws SinterError where a device is asked for and cannot be had.
 */
export function chooseDevices(request: DeviceRequest, addon: Addon, threads = addon.info().threads): ChosenDevices {
  return request.mode === "auto" ? chooseMeasured(request, addon, threads) : chooseAll(request, addon);
}

function chooseAll(request: DeviceRequest, addon: Addon): ChosenDevices {
  const { devices, warnings } = findDevices(request, addon);
  return { ...named(devices), reason: "", warnings, choose: whatItCan };
}

function chooseMeasured(request: DeviceRequest, addon: Addon, threads: number): ChosenDevices {
  const kept = readRates(threads);
  if (kept === undefined) return cpuChoice(hasRates() ? OTHER_MACHINE : NOT_MEASURED);
  let found: FoundDevices;
  try {
    found = findDevices(request, addon);
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    return cpuChoice(error.problems.map(({ message }) => message).join("; "));
  }
  const rates = ratesOf(kept, found.devices);
  const isMeasured = ({ index }: NativeDevice) => rates.devices[index] !== undefined;
  const measured = found.devices.filter(isMeasured);
  const unmeasured = found.devices
    .filter((device) => !isMeasured(device))
    .map((device) => `${nameOf(device)} was not measured with this driver`);
  if (measured.length === 0) return cpuChoice(`${unmeasured.join("; ")} (sinter doctor --measure)`);
  const places = measured.map(({ index, free }) => ({ number: index, memory: slotMemory(request, free) }));
  return {
    ...named(measured),
    reason: "",
    warnings: [...found.warnings, ...unmeasured.map((reason) => leftOut(reason, MEASURE))],
    choose: (op) => whatIsFaster(op, rates, places),
  };
}

const nameOf = ({ index, name }: NativeDevice) => `cuda:${index} (${name})`;

const named = (devices: readonly NativeDevice[]) => ({
  devices: devices.map(nameOf),
  numbers: devices.map(({ index }) => index),
});

function whatItCan(op: MergeOp): DeviceChoice {
  const refusal = notForDevices(op);
  return refusal === undefined ? { device: true, reason: "asked for" } : { device: false, reason: refusal };
}

/**
 * Which of several devices gets an op is decided when it is queued, by what they have to do then. So it goes to one only
 * where each of them would be faster than the CPU.
 * @param places devices, with the bytes of memory that an op gets there.
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
export function pinnedMemory(request: DeviceRequest, { devices }: DeviceUse): number {
  return devices.length * pinnedOf(request);
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
