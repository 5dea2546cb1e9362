import { type CommandModule, runCommandLine } from "./command.ts";
import { DEVICE_OPTIONS, deviceRequest } from "./device.ts";
import { COMMANDS } from "./index.ts";
import {
  EVENTS_OPTION,
  FORCE_OPTION,
  JSON_OPTION,
  MEMORY_OPTION,
  mergeOptions,
  PLANNING_OPTIONS,
  QUIET_OPTION,
  RAW_OPTIONS,
  rawChoice,
  THREADS_OPTION,
} from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";

const OPTIONS = {
  force: { ...FORCE_OPTION, doc: "Plan as for sinter merge --force: a model in OUT may be replaced." },
  ...PLANNING_OPTIONS,
  ...RAW_OPTIONS,
  threads: { ...THREADS_OPTION, doc: "Worker threads that merge would get: the memory estimate depends on it." },
  memory: { ...MEMORY_OPTION, doc: "Memory that merge would get beyond the usual 300 MB: part of the estimate." },
  ...DEVICE_OPTIONS,
  download: {
    kind: "flag",
    name: "download",
    negatable: false,
    default: false,
    doc: "Fetch models that are named by a hub id and not in the cache; otherwise plan only says what that would be.",
    group: "Models",
  },
  ops: {
    kind: "flag",
    name: "ops",
    negatable: false,
    default: false,
    doc: "List every output tensor: its inputs, kernel and place. Part of --json in any case.",
    group: "Messages",
  },
  quiet: { ...QUIET_OPTION, doc: "No progress of downloads." },
  json: JSON_OPTION,
  events: EVENTS_OPTION,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter plan",
  summary: COMMANDS.plan.summary,
  positionals: [
    { name: "CONFIG", doc: "The merge configuration, a YAML file as mergekit reads it.", required: true },
    { name: "OUT", doc: "The output folder, to check it as well: free disk, what it holds.", required: false },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter plan ties.yml", doc: "Tensors, files, bytes, memory, and everything that is wrong" },
    { command: "sinter plan ties.yml ./merged", doc: "The same, and whether the folder can take the output" },
    { command: "sinter plan ties.yml --ops", doc: "Where each tensor comes from" },
    { command: "sinter plan ties.yml --device auto", doc: "Which tensors a GPU would merge, and why" },
    { command: "sinter plan ties.yml --json", doc: "For a program" },
  ],
  notes: [
    "Reads headers only, no tensor, and writes nothing (models that --download fetches into the cache apart). Exit code 1 if merge would refuse. With --json, standard " +
      'output is the plan, or {"problems", "warnings"} where there is none.',
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: OptionValues<typeof OPTIONS>, [config = "", out]: readonly string[]): Promise<number> {
  const { executePlan } = await import("./execute-plan.ts");
  const { download, force, threads, memory, ops, quiet, json } = options;
  const source = { config, options: mergeOptions(options), raw: rawChoice(options) };
  const device = deviceRequest(options);
  return await executePlan({ ...source, out, download, force, threads, memory, device, ops, quiet, json });
}
