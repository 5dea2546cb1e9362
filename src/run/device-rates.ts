import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { homeFolder } from "../model/home.ts";
import type { NativeDevice } from "../native.ts";
import type { DeviceRates, Rates } from "./device-cost.ts";
import { onFile } from "./file-error.ts";

/*
 * What `sinter doctor --measure` found, kept for later runs: a file for each user. It counts only on the machine and of the
 * version of Sinter that it was measured with, and each device's part for that device with its driver: other devices may
 * come and go.
 */

type Environment = Readonly<Record<string, string | undefined>>;

export interface KeptRates {
  /** `machineOf` when it was measured. */
  machine: string;
  read: number;
  cpu: Rates["cpu"];
  devices: readonly KeptDevice[];
}

interface KeptDevice {
  /** `fingerprintOf` and its number when it was measured. */
  device: string;
  number: number;
  rates: DeviceRates;
}

export function ratesFile(env: Environment = process.env): string {
  return join(env.XDG_CACHE_HOME || join(homeFolder(), ".cache"), "sinter", "device-rates.json");
}

/** What all measurements depend on. */
export function machineOf(threads: number): string {
  return [`sinter ${pkg.version}`, cpus()[0]?.model.trim() ?? "unknown", `${threads} threads`].join("; ");
}

/** What those of a device depend on besides. Devices that are alike have the same. */
export function fingerprintOf({ name, memory, capability, driver }: NativeDevice): string {
  return `${name}, ${memory} bytes, compute capability ${capability}, driver for CUDA ${driver}`;
}

/** Rates as they are to be kept. @param devices at least those that were measured. */
export function ratesToKeep({ read, cpu, devices }: Rates, found: readonly NativeDevice[], threads: number): KeptRates {
  const measured = found.flatMap((device): KeptDevice[] => {
    const rates = devices[device.index];
    return rates === undefined ? [] : [{ device: fingerprintOf(device), number: device.index, rates }];
  });
  return { machine: machineOf(threads), read, cpu, devices: measured };
}

/**
 * The rates that count for devices as they are now, by their numbers now; those that were not measured are not among them.
 * Of several that were alike, it is the one that had the same number, else the one that is fed the slowest.
 */
export function ratesOf({ read, cpu, devices }: KeptRates, found: readonly NativeDevice[]): Rates {
  const measured = found.flatMap((device): [number, DeviceRates][] => {
    const alike = devices.filter((one) => one.device === fingerprintOf(device));
    const slowest = alike.toSorted((a, b) => a.rates.upload - b.rates.upload)[0];
    const own = alike.find(({ number }) => number === device.index) ?? slowest;
    return own === undefined ? [] : [[device.index, own.rates]];
  });
  return { read, cpu, devices: Object.fromEntries(measured) };
}

/** Whether anything was measured, here or elsewhere. */
export function hasRates(env: Environment = process.env): boolean {
  return existsSync(ratesFile(env));
}

/**
 * What was measured on this machine with this version: known without asking any device, which takes a while.
 * @returns undefined where nothing was.
 */
export function readRates(threads: number, env: Environment = process.env): KeptRates | undefined {
  try {
    const kept: unknown = JSON.parse(readFileSync(ratesFile(env), "utf8"));
    return isKept(kept) && kept.machine === machineOf(threads) ? kept : undefined;
  } catch {
    return undefined;
  }
}

function isKept(value: unknown): value is KeptRates {
  if (typeof value !== "object" || value === null) return false;
  const { machine, read, cpu, devices } = value as Record<string, unknown>;
  return (
    typeof machine === "string" &&
    isRate(read) &&
    areAll(cpu, isRate) &&
    Array.isArray(devices) &&
    devices.every(isKeptDevice)
  );
}

function isKeptDevice(value: unknown): value is KeptDevice {
  if (typeof value !== "object" || value === null) return false;
  const { device, number, rates } = value as Record<string, unknown>;
  return typeof device === "string" && typeof number === "number" && isDeviceRates(rates);
}

function isDeviceRates(value: unknown): value is DeviceRates {
  if (typeof value !== "object" || value === null) return false;
  const { upload, download, copy, kernels, overhead } = value as Record<string, unknown>;
  return [upload, download, copy, overhead].every(isRate) && areAll(kernels, isRate);
}

function isRate(value: unknown): boolean {
  return typeof value === "number" && value > 0 && Number.isFinite(value);
}

function areAll(values: unknown, holds: (value: unknown) => boolean): boolean {
  return typeof values === "object" && values !== null && Object.values(values).every((value) => holds(value));
}

/** Takes the place of what was kept before. @throws SinterError where the file cannot be written. @returns its path. */
export function keepRates(kept: KeptRates, env: Environment = process.env): string {
  const file = ratesFile(env);
  onFile("cannot keep the measurements", file, () => {
    mkdirSync(dirname(file), { recursive: true });
    // Another process never reads half of it.
    const whole = `${file}.${process.pid}.tmp`;
    writeFileSync(whole, `${JSON.stringify(kept, undefined, 2)}\n`);
    renameSync(whole, file);
  });
  return file;
}
