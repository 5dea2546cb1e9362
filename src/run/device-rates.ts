import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { homeFolder } from "../model/home.ts";
import type { NativeDevice } from "../native.ts";
import type { DeviceRates, Rates } from "./device-cost.ts";
import { onFile } from "./file-error.ts";

/*
 * What `sinter doctor --measure` found, kept for later runs: a file for each user. It counts only on the machine, with the
 * driver and of the version of Sinter that it was measured with.
 */

type Environment = Readonly<Record<string, string | undefined>>;

export interface KeptRates {
  fingerprint: string;
  rates: Rates;
}

export function ratesFile(env: Environment = process.env): string {
  return join(env.XDG_CACHE_HOME || join(homeFolder(), ".cache"), "sinter", "device-rates.json");
}

/** What measurements depend on. */
export function fingerprintOf(devices: readonly NativeDevice[], threads: number): string {
  const machine = [cpus()[0]?.model.trim() ?? "unknown", `${threads} threads`];
  return [`sinter ${pkg.version}`, ...machine, ...devices.map(({ name, driver }) => `${name}, CUDA ${driver}`)].join(
    "; ",
  );
}

/** Whether anything was measured, here or elsewhere: without it no device needs to be asked, which takes a while. */
export function hasRates(env: Environment = process.env): boolean {
  return existsSync(ratesFile(env));
}

/** @returns undefined where nothing was measured, or not with this machine, driver and version. */
export function readRates(fingerprint: string, env: Environment = process.env): Rates | undefined {
  try {
    const kept = JSON.parse(readFileSync(ratesFile(env), "utf8")) as Partial<KeptRates> | null;
    return kept?.fingerprint === fingerprint && isRates(kept.rates) ? kept.rates : undefined;
  } catch {
    return undefined;
  }
}

function isRates(value: unknown): value is Rates {
  if (typeof value !== "object" || value === null) return false;
  const { read, cpu, devices } = value as Record<string, unknown>;
  return isRate(read) && areAll(cpu, isRate) && areAll(devices, isDeviceRates);
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

/** @throws SinterError where the file cannot be written. @returns its path. */
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
