import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main as extract } from "../../src/commands/compat/mergekit-extract-lora.ts";
import { formatProblem, SinterError } from "../../src/errors.ts";
import { native } from "../../src/native.ts";
import { silentProgress } from "../../src/run/progress.ts";
import { runPlan } from "../../src/run/run.ts";
import type { Execution } from "./execute.ts";
import type { Case, Kit } from "./kit.ts";
import { runnable } from "./planned.ts";
import { judge, type Verdict } from "./run-case.ts";

/** Runs one case within this process, in the current folder: what the program does, without starting it. */
export async function runCaseHere(kit: Kit, conformanceCase: Case): Promise<Verdict> {
  const scratch = mkdtempSync(join(tmpdir(), "sinter-conformance-"));
  try {
    const out = join(scratch, "out");
    const [program = "", ...args] = conformanceCase.command.replace(/\bOUT\b/, out).split(" ");
    return judge(kit, conformanceCase, await executeHere(program, args, out));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function executeHere(program: string, args: readonly string[], out: string): Promise<Execution> {
  // The rank of what it writes is known only afterwards: there is no plan to run.
  if (program === "mergekit-extract-lora")
    return { args, exitCode: await extract([...args, "--quiet"]), text: "", out };
  try {
    const options = { force: true, resume: true, nan: "warn", sync: false } as const;
    await runPlan(await runnable(program, args), out, options, native(), silentProgress);
    return { args, exitCode: 0, text: "", out };
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    const text = error.problems.map((problem) => `error: ${formatProblem(problem)}\n`).join("");
    return { args, exitCode: error.exitCode, text, out };
  }
}
