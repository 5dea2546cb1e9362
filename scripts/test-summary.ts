/**
 * Reads the counts that `bun test` prints last (` 12 pass`, ` 1 fail`, ` 1 error`). An error outside of a test counts
 * as a failure; so does a run that ended badly without saying so.
 */
export function summaryCounts(output: string, exitCode: number): { passed: number; failed: number } {
  const passed = lastCount(output, /^ *(\d+) pass$/gm);
  const failed = lastCount(output, /^ *(\d+) fail$/gm) + lastCount(output, /^ *(\d+) errors?$/gm);
  return { passed, failed: failed === 0 && exitCode !== 0 ? 1 : failed };
}

function lastCount(text: string, pattern: RegExp): number {
  let count = 0;
  for (const match of text.matchAll(pattern)) count = Number(match[1]);
  return count;
}
