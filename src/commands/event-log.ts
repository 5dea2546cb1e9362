import { closeSync, openSync } from "node:fs";
import pkg from "../../package.json" with { type: "json" };
import { SinterError } from "../errors.ts";
import { fileProblem } from "../run/file-error.ts";
import { Pace } from "../run/pace.ts";
import type { MeterReading } from "../run/progress.ts";
import { type EventLog, setEvents } from "./events.ts";
import { UsageError } from "./parse.ts";
import { printProblems, writeAll } from "./terminal.ts";

/** Goes up when an event or a key changes its meaning or goes away; more of them may come without that. */
const FORMAT = 1;
/** Least milliseconds between two events `progress` of one phase. */
const PROGRESS_MS = 100;
/** And where nothing moves: a program sees that the process lives. */
const STANDSTILL_MS = 1000;

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
  const { log, end } = eventLog(writer(fd, path), path === "-");
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

function openEvents(path: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SinterError({ code: "events-file", message: `cannot write the events: ${reason}`, path });
  }
}

/**
 * Writes lines until one cannot be written. The first that cannot is an error, as no work is done yet; of a later one people
 * are told, and the work goes on: hours of it are worth more than what a program is told of them.
 */
function writer(fd: number, path: string): (line: string) => void {
  let lines = 0;
  let broken = false;
  return (line) => {
    if (broken) return;
    try {
      writeAll(fd, line);
      lines++;
    } catch (error) {
      const { message, hint } = fileProblem("cannot write the events", path, error);
      const problem = { code: "events-file", message, hint, path: path === "-" ? undefined : path };
      if (lines === 0) throw new SinterError(problem);
      broken = true;
      printProblems("warning", [
        { ...problem, message: `${message}; the work goes on, and no more events are written` },
      ]);
    }
  };
}

/** @param now milliseconds on a clock that does not jump. @returns the log, and what writes its last event. */
export function eventLog(
  write: (line: string) => void,
  onStandardOutput: boolean,
  now: () => number = () => performance.now(),
): { log: EventLog; end: (exitCode: number) => void } {
  const start = now();
  let phase: { name: string; pace: Pace; written: number; last: string } | undefined;
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
        phase = { name, pace: new Pace(time), written: Number.NEGATIVE_INFINITY, last: "" };
        event("phase", { phase: name, ...totalOf(reading) });
      }
      const moved = Math.max(0, reading.bytes - reading.earlierBytes);
      phase.pace.mark(time, moved);
      const isNew = String(reading.bytes) !== phase.last;
      const isLast = reading.bytes === reading.totalBytes && isNew;
      if (time - phase.written < (isNew ? PROGRESS_MS : STANDSTILL_MS) && !isLast) return;
      phase.written = time;
      phase.last = String(reading.bytes);
      event("progress", { phase: name, ...progressValues(reading, time, moved, phase.pace) });
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

/** @param moved bytes that took time, of which `pace` knows. */
function progressValues(reading: MeterReading, time: number, moved: number, pace: Pace) {
  const { unit, bytes, totalBytes, earlierBytes, item, waiting } = reading;
  const rate = pace.rate(time, moved);
  const left = pace.left(time, moved, totalBytes - bytes);
  const counted =
    unit === undefined
      ? { bytes, ...totalOf(reading), bytes_earlier: earlierBytes, bytes_per_second: Math.round(rate) || null }
      : { done: bytes, ...totalOf(reading) };
  const seconds_left = left === undefined ? null : round(left);
  return { ...counted, seconds_left, item, ...(waiting === undefined ? {} : { waiting }) };
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
