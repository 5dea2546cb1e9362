import type { RunEvents, RunProgress } from "./types.ts";
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

/** Least milliseconds between two redraws of the bar, and between two plain lines. */
const REDRAW_MS = 100;
const LINE_MS = 2000;
const BAR_CELLS = 20;

/**
 * A bar on one line of a terminal; elsewhere (a file, a CI log) a plain line every two seconds.
 * @param now milliseconds on a clock that does not jump.
 */
export function progressDisplay(stream: ProgressStream, now: () => number = () => performance.now()): ProgressDisplay {
  return stream.isTTY ? progressBar(stream, now) : progressLines(stream, now);
}

/** What `--quiet` shows. */
export const silentProgress: ProgressDisplay = { progress() {}, end() {} };

function progressBar(stream: ProgressStream, now: () => number): ProgressDisplay {
  const start = now();
  let drawnAt = Number.NEGATIVE_INFINITY;
  let phase: RunProgress["phase"] = "merging";
  return {
    progress(progress) {
      const time = now();
      if (time - drawnAt < REDRAW_MS && progress.phase === phase) return;
      drawnAt = time;
      phase = progress.phase;
      const line = barLine(progress, (time - start) / 1000, (stream.columns ?? 80) - 1);
      stream.write(`\r${line}\u001B[K`);
    },
    end() {
      if (drawnAt > Number.NEGATIVE_INFINITY) stream.write("\r\u001B[K");
    },
  };
}

/** The bar's text, at most `width` columns: the tensor's name gives way first. */
function barLine(progress: RunProgress, seconds: number, width: number): string {
  const share = shareDone(progress);
  const full = Math.floor(share * BAR_CELLS);
  const bar = `[${"#".repeat(full)}${"-".repeat(BAR_CELLS - full)}]`;
  const tail =
    progress.phase === "syncing" ? "waiting for the disk" : `${remaining(progress, seconds)}  ${progress.tensor}`;
  return `${bar} ${amount(progress, seconds)}  ${tail}`.slice(0, width);
}

function progressLines(stream: ProgressStream, now: () => number): ProgressDisplay {
  const start = now();
  let writtenAt = start;
  return {
    progress(progress) {
      const time = now();
      if (time - writtenAt < LINE_MS) return;
      writtenAt = time;
      const seconds = (time - start) / 1000;
      const tail = progress.phase === "syncing" ? "waiting for the disk" : remaining(progress, seconds);
      stream.write(`${amount(progress, seconds)}, ${tail}\n`);
    },
    end() {},
  };
}

function shareDone({ bytes, totalBytes }: RunProgress): number {
  return totalBytes === 0 ? 1 : bytes / totalBytes;
}

/** `45 %  1.24 GB of 2.96 GB  1.91 GB/s`: bytes read and written. */
function amount(progress: RunProgress, seconds: number): string {
  const percent = String(Math.floor(100 * shareDone(progress))).padStart(3);
  const rate = seconds > 0 ? formatBytes(progress.bytes / seconds) : formatBytes(0);
  return `${percent} %  ${formatBytes(progress.bytes)} of ${formatBytes(progress.totalBytes)}  ${rate}/s`;
}

function remaining({ bytes, totalBytes }: RunProgress, seconds: number): string {
  if (bytes === 0) return "-- left";
  return `${formatSeconds((seconds * (totalBytes - bytes)) / bytes)} left`;
}
