import { closeSync, openSync } from "node:fs";
import pkg from "../../package.json" with { type: "json" };
import { SinterError } from "../errors.ts";
import { fileProblem } from "../run/file-error.ts";
import type { MeterReading } from "../run/progress.ts";
import { type EventLog, setEvents } from "./events.ts";
import { UsageError } from "./parse.ts";
import { printProblems, writeAll } from "./terminal.ts";

/** Goes up when an event or a key changes its meaning or goes away; more of them may come without that. */
const FORMAT = 1;
/** Least milliseconds between two events `progress` of one phase. */
const PROGRESS_MS = 100;

/**
 * Runs a command with a log of events: `start` comes first, `done` last, or `error` where it fails.
 * @param path the file that is written anew, or `-` for standard output.
 * @param json whether the command was asked for its summary on standard output.
 * @param command its name, as it is typed.
 */
export async function withEvents(
  path: string,
  json: boolean,
  command: string,
  body: () => Promise<number>,
): Promise<number> {
  if (path === "-" && json) {
    const message = "--events - and --json both want standard output: the event done has what --json prints";
    throw new UsageError({ code: "option-value", message });
  }
  const fd = path === "-" ? process.stdout.fd : openEvents(path);
  const { log, end } = eventLog(writerOf(fd), path === "-");
  setEvents(log);
  log.event("start", { format: FORMAT, version: pkg.version, command });
  log.event("phase", { phase: "planning" });
  try {
    const code = await body();
    end(code);
    return code;
  } catch (error) {
    const known = error instanceof SinterError;
    const problems = known ? error.problems : [{ code: "internal", message: String(error) }];
    log.event("error", { problems, exit_code: known ? error.exitCode : 1 });
    throw error;
  } finally {
    setEvents(undefined);
    if (path !== "-") closeSync(fd);
  }
}

/** What writes a line; once that fails there are no more events, and the command goes on. */
function writerOf(fd: number): (line: string) => void {
  let failed = false;
  return (line) => {
    if (failed) return;
    try {
      writeAll(fd, line);
    } catch (error) {
      failed = true;
      const { message, hint } = fileProblem("cannot write the events", "", error);
      printProblems("warning", [{ code: "events-file", message: `${message}: no more events are written`, hint }]);
    }
  };
}

function openEvents(path: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SinterError({ code: "events-file", message: `cannot write the events: ${reason}`, path });
  }
}

/** @param now milliseconds on a clock that does not jump. @returns the log, and what writes its last event. */
export function eventLog(
  write: (line: string) => void,
  onStandardOutput: boolean,
  now: () => number = () => performance.now(),
): { log: EventLog; end: (exitCode: number) => void } {
  const start = now();
  let phase: { name: string; start: number; written: number; last: string } | undefined;
  let summary: object | undefined;
  const event = (name: string, values: Readonly<Record<string, unknown>>) => {
    write(`${JSON.stringify({ event: name, seconds: round((now() - start) / 1000), ...values })}\n`);
  };
  const log: EventLog = {
    onStandardOutput,
    event,
    progress(name, reading) {
      const time = now();
      if (phase?.name !== name) {
        phase = { name, start: time, written: Number.NEGATIVE_INFINITY, last: "" };
        event("phase", { phase: name, ...totalOf(reading) });
      }
      const isLast = reading.bytes === reading.totalBytes && String(reading.bytes) !== phase.last;
      if (time - phase.written < PROGRESS_MS && !isLast) return;
      phase.written = time;
      phase.last = String(reading.bytes);
      event("progress", { phase: name, ...progressValues(reading, (time - phase.start) / 1000) });
    },
    warnings(problems) {
      for (const problem of problems) event("warning", { problem });
    },
    summary(value) {
      summary = value;
    },
  };
  return { log, end: (exitCode) => event("done", { exit_code: exitCode, ...(summary && { summary }) }) };
}

function totalOf({ unit, totalBytes }: MeterReading) {
  return unit === undefined ? { bytes_total: totalBytes } : { unit, total: totalBytes };
}

/** @param seconds since the phase began. */
function progressValues(reading: MeterReading, seconds: number) {
  const { unit, bytes, totalBytes, earlierBytes, item, waiting } = reading;
  const moved = Math.max(0, bytes - earlierBytes);
  const left = moved > 0 && seconds > 0 ? round((seconds * (totalBytes - bytes)) / moved) : null;
  const counted =
    unit === undefined
      ? { bytes, ...totalOf(reading), bytes_earlier: earlierBytes, bytes_per_second: rate(moved, seconds) }
      : { done: bytes, ...totalOf(reading) };
  return { ...counted, seconds_left: left, item, ...(waiting === undefined ? {} : { waiting }) };
}

function rate(moved: number, seconds: number): number | null {
  return seconds > 0 ? Math.round(moved / seconds) : null;
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
