import { type Position, type Problem, Report } from "../errors.ts";
import { formatModelRef, type ModelRef } from "./ref.ts";

/** A model, and where the configuration names it. */
export interface NamedRef {
  ref: ModelRef;
  at?: Position | undefined;
}

/**
 * Reads a model with `read`, which is given a report of its own and the model's name; what is found is reported with
 * that name and the place. What the system refuses is a problem like others.
 * @returns undefined where there was an error.
 */
export function readNamed<T>(
  named: NamedRef,
  report: Report,
  read: (report: Report, name: string) => T | undefined,
): T | undefined {
  const name = displayName(named.ref);
  const found = new Report();
  const model = readable(found, () => read(found, name));
  const attributed = (problem: Problem): Problem => ({ ...problem, at: named.at, model: name });
  for (const problem of found.errors) report.error(attributed(problem));
  for (const problem of found.warnings) report.warn(attributed(problem));
  return found.errors.length === 0 ? model : undefined;
}

/** What messages call a model: as the user wrote it, the adapter with it. */
function displayName({ model, lora }: ModelRef): string {
  return formatModelRef({ model, lora });
}

function readable<T>(report: Report, read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    report.error({ code: "unreadable-file", message: `cannot read the model: ${error.message}`, path: error.path });
    return undefined;
  }
}

function isSystemError(error: unknown): error is Error & { path?: string } {
  return error instanceof Error && "syscall" in error;
}
