import { closeSync, openSync } from "node:fs";
import pkg from "../../package.json" with { type: "json" };
import { type Problem, SinterError } from "../errors.ts";
import type { MeterReading } from "../run/progress.ts";
import { UsageError } from "./parse.ts";
import { writeAll } from "./terminal.ts";

/** Goes up when an event or a key changes its meaning or goes away; more of them may come without that. */
const FORMAT = 1;
/** Least milliseconds between two events `progress` of one phase. */
const PROGRESS_MS = 100;

/** What a program is told while a merge goes on; docs/events.md says what each event and key means. */
export interface EventLog {
  /** Whether the events go to standard output, which then has nothing else. */
  onStandardOutput: boolean;
  event(name: string, values: Readonly<Record<string, unknown>>): void;
  /** At most ten a second of each phase; the last of a phase always. */
  progress(phase: string, reading: Omit<MeterReading, "phase">): void;
  warnings(problems: readonly Problem[]): void;
}

/**
 * Runs a command with a log of events: `start` comes first, `error` last where it fails.
 * @param path the file that is written anew, `-` for standard output; undefined: there is no log.
 * @param json whether the command was asked for its summary on standard output.
 */
export async function withEvents(
  path: string | undefined,
  json: boolean,
  body: (events: EventLog | undefined) => Promise<number>,
): Promise<number> {
  if (path === undefined) return await body(undefined);
  if (path === "-" && json) {
    const message = "--events - and --json both want standard output: the event done has what --json prints";
    throw new UsageError({ code: "option-value", message });
  }
  const fd = path === "-" ? process.stdout.fd : openEvents(path);
  const log = eventLog((line) => writeAll(fd, line), path === "-");
  log.event("start", { format: FORMAT, version: pkg.version });
  try {
    return await body(log);
  } catch (error) {
    const known = error instanceof SinterError;
    const problems = known ? error.problems : [{ code: "internal", message: String(error) }];
    log.event("error", { problems, exit_code: known ? error.exitCode : 1 });
    throw error;
  } finally {
    if (path !== "-") closeSync(fd);
  }
}

function openEvents(path: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SinterError({ code: "events-file", message: `cannot write the events: ${reason}`, path });
  }
}

/** @param now milliseconds on a clock that does not jump. */
export function eventLog(
  write: (line: string) => void,
  onStandardOutput: boolean,
  now: () => number = () => performance.now(),
): EventLog {
  const start = now();
  let phase: { name: string; start: number; written: number; last: string } | undefined;
  const event = (name: string, values: Readonly<Record<string, unknown>>) => {
    write(`${JSON.stringify({ event: name, seconds: round((now() - start) / 1000), ...values })}\n`);
  };
  return {
    onStandardOutput,
    event,
    progress(name, reading) {
      const time = now();
      if (phase?.name !== name) {
        phase = { name, start: time, written: Number.NEGATIVE_INFINITY, last: "" };
        event("phase", { phase: name, bytes_total: reading.totalBytes });
      }
      const values = progressValues(reading, (time - phase.start) / 1000);
      const isLast = reading.bytes === reading.totalBytes && JSON.stringify(values.bytes) !== phase.last;
      if (time - phase.written < PROGRESS_MS && !isLast) return;
      phase.written = time;
      phase.last = JSON.stringify(values.bytes);
      event("progress", { phase: name, ...values });
    },
    warnings(problems) {
      for (const problem of problems) event("warning", { problem });
    },
  };
}

/** @param seconds since the phase began. */
function progressValues({ bytes, totalBytes, earlierBytes, item, waiting }: MeterReading, seconds: number) {
  const moved = Math.max(0, bytes - earlierBytes);
  return {
    bytes,
    bytes_total: totalBytes,
    bytes_earlier: earlierBytes,
    bytes_per_second: seconds > 0 ? Math.round(moved / seconds) : null,
    seconds_left: moved > 0 && seconds > 0 ? round((seconds * (totalBytes - bytes)) / moved) : null,
    item,
    ...(waiting === undefined ? {} : { waiting }),
  };
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
