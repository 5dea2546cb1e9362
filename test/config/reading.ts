import { readMergeConfig } from "../../src/config/read.ts";
import type { MergeConfig } from "../../src/config/types.ts";
import { type Position, type Problem, Report, SinterError } from "../../src/errors.ts";

/** A place in the file name that these tests use. */
export function at(line: number, column: number): Position {
  return { file: "f.yml", line, column };
}

/** @throws SinterError where the text has an error. */
export function read(text: string): MergeConfig {
  return readMergeConfig(text, "f.yml", { strict: false }, new Report());
}

export function warnings(text: string): readonly Problem[] {
  const report = new Report();
  readMergeConfig(text, "f.yml", { strict: false }, report);
  return report.warnings;
}

/** Every error of a text as `line:column code`, in the order of the text. */
export function problems(text: string, strict = false): string[] {
  try {
    readMergeConfig(text, "f.yml", { strict }, new Report());
  } catch (error) {
    if (!(error instanceof SinterError)) throw error;
    const places = error.problems.toSorted(
      (a, b) => (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0),
    );
    return places.map((problem) => `${problem.at?.line}:${problem.at?.column} ${problem.code}`);
  }
  return [];
}
