import { join } from "node:path";
import { ROOT } from "../../scripts/paths.ts";

export interface Ended {
  code: number;
  out: string;
  err: string;
}

/** Runs a command line, a program of bin/ and its arguments, and waits for its end. */
export function startIn(folder: string, line: string, env: Record<string, string> = {}): Ended {
  const [program = "", ...args] = line.split(" ");
  const result = Bun.spawnSync([join(ROOT, "bin", program), ...args], {
    cwd: folder,
    env: { ...process.env, SINTER_BUN: process.execPath, ...env },
    stdin: "ignore",
  });
  return { code: result.exitCode, out: result.stdout.toString(), err: result.stderr.toString() };
}
