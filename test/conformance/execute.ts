import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const ROOT = join(import.meta.dir, "..", "..");

/** A finished command, and the folder that it was to write. */
export interface Execution {
  args: readonly string[];
  exitCode: number;
  /** Standard output and error together. */
  text: string;
  out: string;
}

/** The program's file in bin/; undefined where there is no such program yet. */
export function programFile(program: string): string | undefined {
  const file = join(ROOT, "bin", program);
  return existsSync(file) ? file : undefined;
}

/** Runs a case's command line in the kit's folder and hands the result over; removes what was written afterwards. */
export async function execute<T>(
  command: string,
  folder: string,
  use: (execution: Execution) => T | Promise<T>,
): Promise<T> {
  const scratch = mkdtempSync(join(tmpdir(), "sinter-conformance-"));
  try {
    const out = join(scratch, "out");
    copyNamedModels(command, folder, join(scratch, "tmp"));
    const [program, ...args] = command
      .replaceAll("TMPDIR", join(scratch, "tmp"))
      .replace(/\bOUT\b/, out)
      .split(" ");
    const child = Bun.spawn([programFile(program as string) ?? (program as string), ...args], {
      cwd: folder,
      env: { ...process.env, SINTER_BUN: process.execPath, HF_HUB_OFFLINE: "1", NO_COLOR: "1" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr, exitCode] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return await use({ args, exitCode, text: stdout + stderr, out });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Some programs work beside a model: a case that names one of the kit's in TMPDIR means a copy of it. */
function copyNamedModels(command: string, kit: string, scratch: string): void {
  for (const [, name = ""] of command.matchAll(/TMPDIR\/([\w.-]+)/g)) {
    const model = join(kit, "models", name);
    if (existsSync(model)) cpSync(model, join(scratch, name), { recursive: true });
  }
}

/** True where a command left nothing in its output folder. */
export function leftNothing({ out }: Execution): boolean {
  return !existsSync(out) || readdirSync(out).length === 0;
}
