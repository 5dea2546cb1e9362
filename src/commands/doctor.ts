import { readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import pkg from "../../package.json" with { type: "json" };
import { type NativeDevices, type NativeInfo, native } from "../native.ts";
import type { Rates } from "../run/device-cost.ts";
import { ratesOf, readRates } from "../run/device-rates.ts";
import { deviceLibrary } from "../run/devices.ts";
import { formatBytes } from "../run/units.ts";
import { columns } from "./columns.ts";
import { type CommandModule, runCommandLine } from "./command.ts";
import { cudaRows, rateRows } from "./doctor-devices.ts";
import { findGpu, type GpuReport } from "./gpu.ts";
import { COMMANDS } from "./index.ts";
import { JSON_OPTION } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { print } from "./terminal.ts";

const OPTIONS = {
  measure: {
    kind: "flag",
    name: "measure",
    negatable: false,
    default: false,
    doc:
      "Measure how fast this machine reads, copies and merges, on the CPU and on each GPU, and keep that for --device " +
      "auto. Takes some seconds for each.",
    group: "Computation",
  },
  json: JSON_OPTION,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter doctor",
  summary: COMMANDS.doctor.summary,
  positionals: [],
  options: OPTIONS,
  examples: [
    { command: "sinter doctor", doc: "What this machine offers" },
    { command: "sinter doctor --measure", doc: "Once on a machine with a GPU: from then on --device auto can choose" },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

interface Findings {
  sinter: string;
  bun: string;
  /** What `package.json` asks for. */
  bunWanted: string;
  platform: string;
  cpu: { model: string; count: number };
  memory: { total: number; available: number | undefined };
  gpu: GpuReport;
  addon: NativeInfo | { failure: string };
  /** The library for CUDA devices, and what it offers; undefined where the addon does not load. */
  cuda: NativeDevices | undefined;
  /** What was measured, now or before. */
  rates?: Rates | undefined;
}

async function run({ json, measure }: OptionValues<typeof OPTIONS>): Promise<number> {
  const findings = examine();
  if (measure) findings.rates = await (await import("./execute-measure.ts")).executeMeasure(json);
  await print(json ? `${JSON.stringify(findings, undefined, 2)}\n` : `${columns(report(findings))}\n`);
  return 0;
}

function examine(): Findings {
  const addon = addonInfo();
  // Nothing else asks for cuFile before it reads with it.
  const cufile = process.env.SINTER_CUFILE_LIBRARY ?? "";
  const cuda = "failure" in addon ? undefined : native().devices(deviceLibrary(), undefined, cufile);
  return {
    sinter: pkg.version,
    bun: Bun.version,
    bunWanted: pkg.engines.bun,
    platform: `${process.platform} ${process.arch}`,
    cpu: { model: cpus()[0]?.model.trim() ?? "unknown", count: availableParallelism() },
    memory: { total: totalmem(), available: availableMemory() },
    gpu: findGpu(),
    addon,
    cuda,
    rates: "failure" in addon ? undefined : knownRates(cuda, addon.threads),
  };
}

/** What was measured before of these devices; undefined where nothing was. */
function knownRates(cuda: NativeDevices | undefined, threads: number): Rates | undefined {
  const kept = readRates(threads);
  const rates = kept && ratesOf(kept, cuda?.devices ?? []);
  return rates && Object.keys(rates.devices).length > 0 ? rates : undefined;
}

function addonInfo(): Findings["addon"] {
  try {
    return native().info();
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

/** Bytes that could be had without swapping, as Linux estimates it. */
function availableMemory(): number | undefined {
  try {
    const match = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"));
    return match ? Number(match[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}

function report(found: Findings): string[][] {
  const { addon, memory } = found;
  const available = memory.available === undefined ? "" : `, ${formatBytes(memory.available)} available`;
  const outdated = Bun.semver.satisfies(found.bun, found.bunWanted)
    ? ""
    : ` (too old: Sinter wants ${found.bunWanted})`;
  const rows = [
    ["Sinter", found.sinter],
    ["Bun", found.bun + outdated],
    ["System", found.platform],
    ["CPU", `${found.cpu.model}, ${found.cpu.count} usable`],
    ["Memory", formatBytes(memory.total) + available],
    ["GPU", found.gpu.text],
    ...(found.cuda === undefined ? [] : cudaRows(found.cuda)),
    ...(found.rates === undefined ? [] : rateRows(found.rates)),
  ];
  if ("failure" in addon) {
    const [reason = "", ...advice] = addon.failure.split("\n");
    return [...rows, ["Addon", reason], ...advice.map((line) => ["", line.trim()])];
  }
  return [
    ...rows,
    ["Addon", `${addon.version}, ${addon.kernels.length} kernels: ${addon.kernels.join(", ")}`],
    ["Instructions", `${addon.target} in use; this CPU runs ${addon.targets.join(", ")}`],
    ["Threads", `${addon.threads} on ${addon.cpus} CPUs`],
  ];
}
