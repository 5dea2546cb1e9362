import type { RunOptions } from "../run/types.ts";
import { DEVICE_OPTIONS, deviceRequest } from "./device.ts";
import type { MergeRequest } from "./execute-merge.ts";
import {
  EVENTS_OPTION,
  FORCE_OPTION,
  JSON_OPTION,
  MEMORY_OPTION,
  QUIET_OPTION,
  THREADS_OPTION,
} from "./merge-options.ts";
import { choice, type Options, type OptionValues } from "./option.ts";

/** How a merge is carried out: shared by the commands that write a model. None of it changes a byte of the output. */
export const RUN_OPTIONS = {
  force: FORCE_OPTION,
  resume: {
    kind: "flag",
    name: "resume",
    negatable: true,
    default: undefined,
    doc:
      "Go on from an interrupted run of this very merge: check what it left in the output folder and do only what is " +
      "missing. So it is by default, where there is one; with --resume, that there is none is an error. With " +
      "--no-resume: begin anew.",
    group: "Output",
  },
  nan: {
    kind: "value",
    name: "nan",
    metavar: "warn|error|ignore",
    read: choice(["warn", "error", "ignore"]),
    default: "warn",
    shownDefault: "warn",
    doc: "What to do about a NaN or an infinity in an input: name the tensors at the end, stop at once, or nothing.",
    group: "Checks",
  },
  threads: THREADS_OPTION,
  cpuTarget: {
    kind: "value",
    name: "cpu-target",
    metavar: "LEVEL",
    read: choice(["auto", "x86-64-v2", "x86-64-v3", "x86-64-v4", "arm64"]),
    default: "auto",
    shownDefault: "auto",
    doc: "Instruction set: auto (the best this CPU has), x86-64-v2, x86-64-v3, x86-64-v4 or arm64. Same bytes with each.",
    group: "Computation",
  },
  memory: MEMORY_OPTION,
  ...DEVICE_OPTIONS,
  quiet: { ...QUIET_OPTION, doc: "No progress and no summary: warnings and errors only." },
  json: { ...JSON_OPTION, doc: "Print the summary as JSON on standard output." },
  events: EVENTS_OPTION,
  sync: {
    kind: "flag",
    name: "sync",
    negatable: true,
    default: true,
    doc: "Wait for the disk.",
    group: "Output",
    hidden: true,
  },
} as const satisfies Options;

/** What `--resume`, `--no-resume` or neither asks for. */
export function resumeOf(given: boolean | undefined): RunOptions["resume"] {
  return given === undefined ? true : given ? "only" : false;
}

/** @throws SinterError where the options ask for a device that there is not. */
export function runRequest(
  options: OptionValues<typeof RUN_OPTIONS>,
): Pick<MergeRequest, "run" | "engine" | "messages"> {
  return {
    run: { force: options.force, resume: resumeOf(options.resume), nan: options.nan, sync: options.sync },
    engine: {
      threads: options.threads,
      target: options.cpuTarget,
      memory: options.memory,
      device: deviceRequest(options),
    },
    messages: { quiet: options.quiet, json: options.json, plan: false },
  };
}
