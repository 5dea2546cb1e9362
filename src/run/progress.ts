import { visibleName } from "../visible.ts";
import { Pace } from "./pace.ts";
import type { RunEvents } from "./types.ts";
import { formatBytes, formatSeconds } from "./units.ts";

/** Where progress goes. */
export interface ProgressStream {
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  write(text: string): unknown;
}

export interface ProgressDisplay extends RunEvents {
  /** Takes the bar off the screen, so that other text may follow. */
  end(): void;
}

/** One moment of something that goes from no byte to all of them. */
export interface MeterReading {
  /** What is going on, in one word: `merging`, `downloading`. */
  phase?: string | undefined;
  /** What is counted in place of bytes, e.g. `steps`. */
  unit?: string | undefined;
  bytes: number;
  totalBytes: number;
  /** Those of `bytes` that took no time: an earlier run brought them. */
  earlierBytes: number;
  /** What it is at. */
  item: string;
  /** Why no byte moves, if none does: shown at once, in place of the time left. */
  waiting: string | undefined;
}

export interface Meter {
  show(reading: MeterReading): void;
  /** Takes the bar off the screen, so that other text may follow. */
  end(): void;
}

/** Least milliseconds between two redraws of the bar, and between two plain lines: these come less often as time goes by. */
const REDRAW_MS = 100;
const LINE_MS = 2000;
const MOST_LINE_MS = 60_000;
const LINES_SHARE = 0.05;
const BAR_CELLS = 20;
/** Columns for what it is at: the bar gives way to them. Fewer than the least say nothing. */
const ITEM = 18;
const LEAST_ITEM = 8;

/** The progress of a merge. @param now milliseconds on a clock that does not jump. */
export function progressDisplay(
  stream: ProgressStream,
  now: () => number = () => performance.now(),
  env: NodeJS.ProcessEnv = process.env,
): ProgressDisplay {
  const meter = makeMeter(stream, now, env);
  return {
    progress({ bytes, totalBytes, earlierBytes, phase, tensor }) {
      const waiting = phase === "syncing" ? "waiting for the disk" : undefined;
      meter.show({ phase, bytes, totalBytes, earlierBytes, item: tensor, waiting });
    },
    end: () => meter.end(),
  };
}

/** What `--quiet` shows. */
export const silentProgress: ProgressDisplay = { progress() {}, end() {} };

/**
 * A bar on one line of a terminal; elsewhere (a file, a CI log, a terminal that cannot go back in a line) plain lines,
 * every two seconds at first and every minute at last.
 * @param now milliseconds on a clock that does not jump.
 */
export function makeMeter(
  stream: ProgressStream,
  now: () => number = () => performance.now(),
  env: NodeJS.ProcessEnv = process.env,
): Meter {
  return canRedraw(stream, env) ? barMeter(stream, now) : lineMeter(stream, now);
}

/** Whether a line can be drawn over. CI systems that run commands in a terminal keep every redraw. */
export function canRedraw({ isTTY }: ProgressStream, { TERM, CI }: NodeJS.ProcessEnv): boolean {
  const isCI = CI !== undefined && CI !== "" && CI !== "false" && CI !== "0";
  return isTTY === true && TERM !== "dumb" && !isCI;
}

function barMeter(stream: ProgressStream, now: () => number): Meter {
  const measured = measuring(now);
  let drawnAt = Number.NEGATIVE_INFINITY;
  let waiting: string | undefined;
  return {
    show(reading) {
      const time = now();
      const moment = measured(reading, time);
      if (time - drawnAt < REDRAW_MS && reading.waiting === waiting) return;
      drawnAt = time;
      waiting = reading.waiting;
      stream.write(`\r${barLine(moment, (stream.columns || 80) - 1)}\u001B[K`);
    },
    end() {
      if (drawnAt > Number.NEGATIVE_INFINITY) stream.write("\r\u001B[K");
    },
  };
}

function lineMeter(stream: ProgressStream, now: () => number): Meter {
  const start = now();
  const measured = measuring(now);
  let writtenAt = start;
  return {
    show(reading) {
      const time = now();
      const moment = measured(reading, time);
      const pause = Math.min(MOST_LINE_MS, Math.max(LINE_MS, LINES_SHARE * (time - start)));
      if (time - writtenAt < pause) return;
      writtenAt = time;
      const { phase, percent, amount, rate, left, item } = moment;
      const parts = [`${phase} ${percent}`.trimStart(), joined([amount, rate]), left, item];
      stream.write(`${parts[0]}  ${parts.slice(1).filter(Boolean).join(", ")}\n`);
    },
    end() {},
  };
}

/** What there is to say of a reading, each in its own words; empty where there is nothing. */
interface Moment {
  share: number;
  phase: string;
  percent: string;
  /** `1.24 GB of 2.96 GB`; and without the second. */
  amount: string;
  shortAmount: string;
  rate: string;
  left: string;
  item: string;
}

/** Words for readings, with rate and time left from those before. */
function measuring(now: () => number): (reading: MeterReading, time: number) => Moment {
  let pace = new Pace(now());
  let phase: string | undefined;
  let waitingSince: number | undefined;
  return (reading, time) => {
    const { bytes, totalBytes, earlierBytes, unit, waiting } = reading;
    // A command may have several phases; the disk is waited for in the time of the one before.
    if (phase !== undefined && reading.phase !== phase && waiting === undefined) pace = new Pace(time);
    phase = reading.phase;
    // Less than what was there at first is there when a file has to be fetched anew.
    const moved = Math.max(0, bytes - earlierBytes);
    pace.mark(time, moved);
    waitingSince = waiting === undefined ? undefined : (waitingSince ?? time);
    const waited = (time - (waitingSince ?? time)) / 1000;
    const seconds = pace.left(time, moved, totalBytes - bytes);
    const share = totalBytes === 0 ? 1 : bytes / totalBytes;
    const written = (count: number) => (unit === undefined ? formatBytes(count) : String(count));
    return {
      share,
      phase: reading.phase ?? "",
      percent: `${String(Math.floor(100 * share)).padStart(3)} %`,
      amount: `${written(bytes)} of ${written(totalBytes)}${unit === undefined ? "" : ` ${unit}`}`,
      shortAmount: written(bytes),
      rate: unit === undefined ? `${formatBytes(Math.round(pace.rate(time, moved)))}/s` : "",
      left:
        waiting === undefined
          ? `${seconds === undefined ? "--" : formatSeconds(seconds)} left`
          : `${waiting}${waited < 1 ? "" : ` ${formatSeconds(Math.floor(waited))}`}`,
      item: waiting === undefined ? visibleName(reading.item) : "",
    };
  };
}

/**
 * The bar's text, at most `width` columns. Where there is little room, what says least gives way first: much of the bar, and
 * of what it is at the front, as names differ at their ends; then all of both, and the figures from the least telling on.
 */
function barLine({ share, phase, percent, amount, shortAmount, rate, left, item }: Moment, width: number): string {
  const bar = (cells: number) => {
    const full = Math.floor(share * cells);
    return `[${"#".repeat(full)}${"-".repeat(cells - full)}]`;
  };
  const withAmount = [
    [`${phase} ${bar(BAR_CELLS)} ${percent}`.trimStart(), amount, rate, left],
    [`${phase} ${bar(BAR_CELLS / 2)} ${percent}`.trimStart(), amount, rate, left],
    [`${phase} ${bar(BAR_CELLS / 2)} ${percent}`.trimStart(), shortAmount, rate, left],
    [`${phase} ${percent}`.trimStart(), amount, rate, left],
    [`${phase} ${percent}`.trimStart(), shortAmount, rate, left],
    [percent.trimStart(), shortAmount, rate, left],
  ].map(joined);
  const without = [
    [percent.trimStart(), rate, left],
    [percent.trimStart(), left],
  ].map(joined);
  const wanted = item === "" ? 0 : 2 + Math.min(ITEM, item.length);
  const line =
    withAmount.find((text) => text.length + wanted <= width) ??
    [...withAmount, ...without].find((text) => text.length <= width) ??
    percent.trimStart().slice(0, Math.max(0, width));
  const room = width - line.length - 2;
  if (item === "" || room < Math.min(LEAST_ITEM, item.length)) return line;
  return `${line}  ${item.length <= room ? item : `…${item.slice(1 - room)}`}`;
}

function joined(parts: readonly string[]): string {
  return parts.filter(Boolean).join("  ");
}
