import type { MergePlan } from "../../src/plan/types.ts";
import { checkCase, type Finding } from "./check-case.ts";
import { type Execution, execute, programFile } from "./execute.ts";
import { checkExtraction } from "./extraction.ts";
import type { Case, Kit } from "./kit.ts";
import { missingFeatures, planOrProblems } from "./planned.ts";

export type Verdict = { name: string } & (
  | ({ outcome: "pass" | "fail" } & Finding)
  /** The feature that the program says it does not have. */
  | { outcome: "pending"; feature: string }
);

/** Runs one case in the current folder, which must be the kit's, and judges what comes out. */
export async function runCase(kit: Kit, conformanceCase: Case): Promise<Verdict> {
  const { name, command } = conformanceCase;
  const program = command.split(" ", 1)[0] as string;
  if (programFile(program) === undefined) return { name, outcome: "pending", feature: program };
  return await execute(command, kit.folder, (execution) => judge(kit, conformanceCase, execution));
}

/** What a case that ran came to: missing features are pending, whatever else is wrong. */
export function judge(kit: Kit, conformanceCase: Case, execution: Execution): Verdict {
  const { name, command } = conformanceCase;
  if (command.startsWith("mergekit-extract-lora ")) {
    const found = checkExtraction(kit, conformanceCase, execution);
    return { name, outcome: found.faults.length === 0 ? "pass" : "fail", ...found };
  }
  const planned = planOrProblems(command.split(" ", 1)[0] as string, execution);
  const problems = Array.isArray(planned) ? planned : [];
  const missing = execution.exitCode === 0 ? [] : missingFeatures(problems);
  if (missing.length > 0) return { name, outcome: "pending", feature: missing.join(" and ") };
  const plan = Array.isArray(planned) ? undefined : (planned as MergePlan);
  const finding = checkCase(kit, conformanceCase, execution, plan);
  return { name, outcome: finding.faults.length === 0 ? "pass" : "fail", ...finding };
}
