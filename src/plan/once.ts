import type { Problem, Report } from "../errors.ts";

/** Reports an error the first time its key comes: one cause, not one line for each of a thousand tensors. */
export type ReportOnce = (key: string, problem: () => Problem) => void;

export function reportOnce(report: Report): ReportOnce {
  const seen = new Set<string>();
  return (key, problem) => {
    if (seen.has(key)) return;
    seen.add(key);
    report.error(problem());
  };
}
