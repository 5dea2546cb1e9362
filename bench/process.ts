import { closeSync, openSync, readSync } from "node:fs";

export interface ProcessCost {
  seconds: number;
  /** Most anonymous memory the process held at once, in bytes; 0 where it ended before the first look. */
  peakAnonymous: number;
  output: string;
}

/** Milliseconds between two looks at a process's memory; one look costs about 20 microseconds. */
const SAMPLE_MS = 5;

/**
 * Runs a command to its end and measures the whole process, from before it is started to after it has exited.
 * @throws where it fails, with what it wrote.
 */
export async function measureProcess(command: readonly string[], cwd: string): Promise<ProcessCost> {
  const begun = performance.now();
  const child = Bun.spawn([...command], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const memory = new MemorySampler(child.pid);
  const [code, output, errors] = await Promise.all([
    child.exited.then((exit) => ({ exit, at: performance.now() })),
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const peakAnonymous = memory.stop();
  if (code.exit !== 0) throw new Error(`${command.join(" ")} ended with exit code ${code.exit}\n${output}${errors}`);
  return { seconds: (code.at - begun) / 1000, peakAnonymous, output };
}

/** Runs a command without looking at it. @returns seconds. */
export function timeCommand(command: readonly string[]): number {
  const begun = performance.now();
  const { exitCode, stderr } = Bun.spawnSync([...command], { stdout: "ignore", stderr: "pipe" });
  const seconds = (performance.now() - begun) / 1000;
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with exit code ${exitCode}\n${stderr.toString()}`);
  return seconds;
}

/** Follows `RssAnon` of a process: its own memory, without the pages of mapped files. */
class MemorySampler {
  private peak = 0;
  private readonly file: number;
  private readonly timer: Timer;
  private readonly buffer = Buffer.alloc(4096);

  constructor(pid: number) {
    this.file = openSync(`/proc/${pid}/status`, "r");
    this.timer = setInterval(() => this.look(), SAMPLE_MS);
  }

  /** @returns the most bytes seen. */
  stop(): number {
    clearInterval(this.timer);
    closeSync(this.file);
    return this.peak;
  }

  private look(): void {
    let length = 0;
    try {
      length = readSync(this.file, this.buffer, 0, this.buffer.length, 0);
    } catch {
      // The process is gone.
    }
    const kib = /RssAnon:\s+(\d+)/.exec(this.buffer.toString("latin1", 0, length))?.[1];
    if (kib !== undefined) this.peak = Math.max(this.peak, Number(kib) * 1024);
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] as number;
  return ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
