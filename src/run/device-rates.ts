import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { homeFolder } from "../model/home.ts";
import type { NativeDevice } from "../native.ts";
import type { Rates } from "./device-cost.ts";
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
  const { read, copy, upload, download, overhead, cpu, device } = value as Record<string, unknown>;
  const isRate = (rate: unknown) => typeof rate === "number" && rate > 0 && Number.isFinite(rate);
  const areRates = (rates: unknown) =>
    typeof rates === "object" && rates !== null && Object.values(rates).every((rate) => isRate(rate));
  return [read, copy, upload, download, overhead].every(isRate) && areRates(cpu) && areRates(device);
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
