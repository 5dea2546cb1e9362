import { visible, visibleName } from "./visible.ts";

/** A place in a text file that a user wrote. Lines and columns start at 1. */
export interface Position {
  file: string;
  line: number;
  column: number;
}

/**
 * One thing that is wrong: what, where and what to do about it.
 * `code` is stable and short (kebab-case, e.g. `unknown-method`) so that programs and tests can tell problems apart.
 */
export interface Problem {
  code: string;
  message: string;
  at?: Position | undefined;
  model?: string | undefined;
  tensor?: string | undefined;
  path?: string | undefined;
  hint?: string | undefined;
}

/** Everything that stops a command. Carries every problem that was found, not only the first. */
export class SinterError extends Error {
  readonly problems: readonly Problem[];
  readonly exitCode: number;
  /** What was warned of before, where whoever threw it knows. */
  warnings?: readonly Problem[];

  constructor(problems: Problem | readonly Problem[], exitCode = 1) {
    const list: readonly Problem[] = Array.isArray(problems) ? problems : [problems as Problem];
    super(list.map(formatProblem).join("\n"));
    this.name = "SinterError";
    this.problems = list;
    this.exitCode = exitCode;
  }
}

/** `file:line:column: message [model …, tensor …]` and, on a second line, what to do. */
export function formatProblem(problem: Problem): string {
  const place = problem.at ? `${problem.at.file}:${problem.at.line}:${problem.at.column}: ` : "";
  const context = [
    problem.model === undefined ? undefined : `model ${problem.model}`,
    problem.tensor === undefined ? undefined : `tensor ${problem.tensor}`,
    problem.path === undefined ? undefined : `file ${problem.path}`,
  ].filter((part) => part !== undefined);
  const where = context.length > 0 ? ` (${context.join(", ")})` : "";
  const hint = problem.hint === undefined ? "" : `\n  → ${problem.hint}`;
  return visibleName(`${place}${problem.message}${where}`) + visible(hint);
}

/** Collects problems while a step goes on, so that all of a kind are reported at once. */
export class Report {
  readonly errors: Problem[] = [];
  readonly warnings: Problem[] = [];

  error(problem: Problem): void {
    this.errors.push(problem);
  }

  warn(problem: Problem): void {
    this.warnings.push(problem);
  }

  /** @throws SinterError with every error so far, if there is one. */
  throwIfErrors(): void {
    if (this.errors.length > 0) throw new SinterError(this.errors);
  }
}

/** The candidate closest to `name` by edit distance, if it is close enough to be a slip of the keyboard. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
