/**
 * Sinter as a library, for Bun and Node: `import { merge, plan } from "sinter"`. docs/library.md has examples.
 * What goes wrong is a `SinterError` with every problem that was found; nothing is printed.
 */
import { basename, resolve } from "node:path";
import { deviceRequest } from "./commands/device.ts";
import { loadAddon } from "./commands/execute-merge.ts";
import { type ConfigSource, planSource } from "./commands/plan-merge.ts";
import { type Problem, Report } from "./errors.ts";
import { checkConfig, checkFolder, checkOptions } from "./library-options.ts";
import type { CpuTarget } from "./native.ts";
import { DEFAULT_OPTIONS, type MergeOptions, type MergePlan, type RawTensors } from "./plan/types.ts";
import { useDevices } from "./run/devices.ts";
import { checkOutput } from "./run/output.ts";
import { runPlan } from "./run/run.ts";
import type { NanPolicy, RunProgress, RunResult } from "./run/types.ts";

export { formatProblem, type Position, type Problem, SinterError } from "./errors.ts";
export type { CpuTarget } from "./native.ts";
export type { MergeOp, MergeOptions, MergePlan, OpInput, RawTensors } from "./plan/types.ts";
export type { NanPolicy, RunProgress, RunResult } from "./run/types.ts";

/** The path of a YAML file; or its text, and what messages call it; or the configuration as a value. */
export type Config = string | { text: string; name?: string } | Recipe;

/** A configuration as a value: the keys of the YAML file (schemas/merge.schema.json). */
export interface Recipe {
  merge_method: string;
  [key: string]: unknown;
}

/** What decides the output. Defaults are those of `sinter merge`. */
export interface PlanOptions extends Partial<MergeOptions> {
  /** Merge by tensor names alone, and what becomes of tensors that not all models have. */
  raw?: RawTensors;
  /** The output folder's name, which the model card has as its title. */
  name?: string;
  /** Download models that are named by a hub id and not in the cache. `plan`: false unless given; `merge`: true. */
  download?: boolean;
  /** Called with every warning of the plan, at once also where errors follow. */
  onWarning?: (warning: Problem) => void;
}

/** How a merge is carried out. None of it changes a byte of the output. */
export interface MergeRunOptions {
  /** Replace a model that the output folder already holds. */
  force?: boolean;
  /** Go on from what an interrupted merge of the same left in the folder, and leave such where this one is stopped. */
  resume?: boolean;
  /** What to do about a NaN or an infinity in an input: `warn` unless given. */
  nan?: NanPolicy;
  /** Worker threads; 0, one per CPU, unless given. */
  threads?: number;
  cpuTarget?: CpuTarget | "auto";
  /** Bytes of memory beyond the usual 300 MB for methods that can trade it for time. */
  memory?: number;
  /** Where to compute: `auto` unless given, `cpu`, `cuda` or `cuda:1`. docs/gpu.md says what each means. */
  device?: string;
  /** Spread tensors over all GPUs. */
  multiGpu?: boolean;
  /** Most bytes of each GPU's memory. */
  memoryGpu?: number;
  /** Stops the merge: nothing of it is left (unless `resume`), and the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called about once per tensor, on the main thread. */
  onProgress?: (progress: RunProgress) => void;
  onWarning?: (warning: Problem) => void;
}

/** Everything that a merge would do: reads headers only, writes nothing. @throws SinterError */
export async function plan(config: Config, options: PlanOptions = {}): Promise<MergePlan> {
  checkConfig(config);
  checkOptions(options);
  return await planned(config, options, options.name ?? "merged", options.download ?? false, () => {});
}

/**
 * Merges, and writes a model folder. Either the whole model is there when the promise resolves, or nothing of it when it
 * rejects. One merge at a time: the engine's threads are one set per process.
 * @param config a configuration, or what `plan` made of one.
 * @throws SinterError
 */
export async function merge(
  config: Config | MergePlan,
  out: string,
  options: PlanOptions & MergeRunOptions = {},
): Promise<RunResult> {
  checkConfig(config);
  checkFolder(out);
  checkOptions(options);
  const {
    force = false,
    resume = false,
    nan = "warn",
    threads = 0,
    cpuTarget = "auto",
    memory = 0,
    signal,
    onProgress,
  } = options;
  const check = (report: Report) => checkOutput(out, force, report);
  const { device, multiGpu = false, memoryGpu } = options;
  const request = deviceRequest({ device, multiGpu, memoryGpu, lowCpuMemory: false });
  const made = isPlan(config)
    ? config
    : await planned(config, options, options.name ?? basename(resolve(out)), options.download ?? true, check);
  signal?.throwIfAborted();
  const addon = loadAddon({ threads, target: cpuTarget, memory });
  const devices = request && useDevices(request, addon);
  const events = { progress: (progress: RunProgress) => onProgress?.(progress) };
  const run = { force, nan, sync: true, resume: resume || ("never" as const), signal, devices };
  const result = await runPlan(made, out, run, addon, events).finally(() => addon.useDevices());
  for (const warning of result.warnings) options.onWarning?.(warning);
  return result;
}

async function planned(
  config: Config,
  options: PlanOptions,
  name: string,
  download: boolean,
  check: (report: Report) => void,
): Promise<MergePlan> {
  const { raw, name: _, download: __, onWarning, ...given } = options;
  const report = new Report();
  const source = { config: sourceOf(config), options: mergeOptions(given), raw };
  try {
    return await planSource(source, name, { download, quiet: true, check }, report);
  } finally {
    for (const warning of report.warnings) onWarning?.(warning);
  }
}

/** What is left out or undefined has its default. */
function mergeOptions(given: Partial<MergeOptions>): MergeOptions {
  const known = [...Object.keys(DEFAULT_OPTIONS), "architectures"] as (keyof MergeOptions)[];
  const own = known.flatMap((key) => (given[key] === undefined ? [] : [[key, given[key]]]));
  return { ...DEFAULT_OPTIONS, ...Object.fromEntries(own) };
}

/** JSON is YAML: problems of a value point into its JSON, one key a line. */
function sourceOf(config: Config): ConfigSource {
  if (typeof config === "string") return config;
  if ("text" in config && typeof config.text === "string") {
    return { text: config.text, name: typeof config.name === "string" ? config.name : "recipe" };
  }
  return { text: `${JSON.stringify(config, undefined, 2)}\n`, name: "recipe" };
}

function isPlan(value: Config | MergePlan): value is MergePlan {
  return typeof value === "object" && "ops" in value && "shards" in value;
}
