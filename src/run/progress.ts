import { visible } from "../errors.ts";
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

/** Least milliseconds between two redraws of the bar, and between two plain lines. */
const REDRAW_MS = 100;
const LINE_MS = 2000;
const BAR_CELLS = 20;

/** The progress of a merge. @param now milliseconds on a clock that does not jump. */
export function progressDisplay(stream: ProgressStream, now: () => number = () => performance.now()): ProgressDisplay {
  const meter = makeMeter(stream, now);
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
 * A bar on one line of a terminal; elsewhere (a file, a CI log) a plain line every two seconds.
 * @param now milliseconds on a clock that does not jump.
 */
export function makeMeter(stream: ProgressStream, now: () => number = () => performance.now()): Meter {
  return stream.isTTY ? barMeter(stream, now) : lineMeter(stream, now);
}

function barMeter(stream: ProgressStream, now: () => number): Meter {
  const start = now();
  let drawnAt = Number.NEGATIVE_INFINITY;
  let waiting: string | undefined;
  return {
    show(reading) {
      const time = now();
      if (time - drawnAt < REDRAW_MS && reading.waiting === waiting) return;
      drawnAt = time;
      waiting = reading.waiting;
      const line = barLine(reading, (time - start) / 1000, (stream.columns ?? 80) - 1);
      stream.write(`\r${line}\u001B[K`);
    },
    end() {
      if (drawnAt > Number.NEGATIVE_INFINITY) stream.write("\r\u001B[K");
    },
  };
}

/** The bar's text, at most `width` columns: what it is at gives way first. */
function barLine(reading: MeterReading, seconds: number, width: number): string {
  const full = Math.floor(shareDone(reading) * BAR_CELLS);
  const bar = `[${"#".repeat(full)}${"-".repeat(BAR_CELLS - full)}]`;
  const tail = reading.waiting ?? `${remaining(reading, seconds)}  ${visible(reading.item)}`;
  return `${label(reading)}${bar} ${amount(reading, seconds)}  ${tail}`.slice(0, width);
}

function lineMeter(stream: ProgressStream, now: () => number): Meter {
  const start = now();
  let writtenAt = start;
  return {
    show(reading) {
      const time = now();
      if (time - writtenAt < LINE_MS) return;
      writtenAt = time;
      const seconds = (time - start) / 1000;
      const left = reading.waiting ?? `${remaining(reading, seconds)}, ${visible(reading.item)}`;
      stream.write(`${label(reading)}${amount(reading, seconds)}, ${left}\n`);
    },
    end() {},
  };
}

function label({ phase }: MeterReading): string {
  return phase === undefined ? "" : `${phase} `;
}

function shareDone({ bytes, totalBytes }: MeterReading): number {
  return totalBytes === 0 ? 1 : bytes / totalBytes;
}

/** `45 %  1.24 GB of 2.96 GB  1.91 GB/s`. */
function amount(reading: MeterReading, seconds: number): string {
  const percent = String(Math.floor(100 * shareDone(reading))).padStart(3);
  if (reading.unit !== undefined) return `${percent} %  ${reading.bytes} of ${reading.totalBytes} ${reading.unit}`;
  const rate = seconds > 0 ? formatBytes(bytesMoved(reading) / seconds) : formatBytes(0);
  return `${percent} %  ${formatBytes(reading.bytes)} of ${formatBytes(reading.totalBytes)}  ${rate}/s`;
}

function remaining(reading: MeterReading, seconds: number): string {
  const moved = bytesMoved(reading);
  if (moved === 0) return "-- left";
  return `${formatSeconds((seconds * (reading.totalBytes - reading.bytes)) / moved)} left`;
}

/** Less than what was there at first is there when a file has to be fetched anew. */
function bytesMoved({ bytes, earlierBytes }: MeterReading): number {
  return Math.max(0, bytes - earlierBytes);
}
