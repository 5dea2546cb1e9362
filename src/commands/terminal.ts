import { writeSync } from "node:fs";
import { formatProblem, type Problem, SinterError } from "../errors.ts";
import { fileProblem } from "../run/file-error.ts";
import { visible } from "../visible.ts";
import { events } from "./events.ts";
import { usageLine } from "./help.ts";
import type { CommandSpec } from "./option.ts";
import { UsageError } from "./parse.ts";

const RED = 31;
const YELLOW = 33;

/**
 * `error: …` or `warning: …`, then place, message and what to do. Colours on a terminal, unless NO_COLOR is set. A
 * program that watches is told of warnings, too.
 */
export function printProblems(kind: "error" | "warning", problems: readonly Problem[]): void {
  if (kind === "warning") events()?.warnings(problems);
  const label = colour(kind === "error" ? RED : YELLOW, `${kind}:`);
  // What is to be done about several of a kind stands once, below them.
  const shown = problems.map((one, i) => (one.hint === problems[i + 1]?.hint ? { ...one, hint: undefined } : one));
  tell(shown.map((problem) => `${label} ${formatProblem(problem)}\n`).join(""));
}

function colour(code: number, text: string): string {
  const { NO_COLOR, TERM } = process.env;
  return process.stderr.isTTY && !NO_COLOR && TERM !== "dumb" ? `\u001B[${code}m${text}\u001B[39m` : text;
}

/**
 * Prints whatever stopped a command: every problem, and their number where there is more than one.
 * @param spec the command, for the usage line above a mistake on the command line.
 * @returns the exit code: 2 for a mistake on the command line, else 1, or what the error says.
 */
export function printFailure(error: unknown, spec: CommandSpec | undefined): number {
  if (!(error instanceof SinterError)) {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const trace = error instanceof Error ? `, with:\n${error.stack}` : "";
    printProblems("error", [
      { code: "internal", message, hint: `this is a fault in Sinter: please report it${trace}` },
    ]);
    return 1;
  }
  if (error instanceof UsageError && spec) {
    writeError(`Usage: ${usageLine(spec)}\nTry '${spec.name} --help' for help.\n\n`);
  }
  printProblems("error", error.problems);
  if (error.problems.length > 1) writeError(`${error.problems.length} errors\n`);
  return error.exitCode;
}

/**
 * Writes all of the text to standard error before it returns: the process may exit right after. Names that came from files
 * cannot steer the terminal.
 */
export function writeError(text: string): void {
  tell(visible(text));
}

/** Where standard error takes nothing (a full disk, a terminal that is gone), there is nobody to tell that. */
function tell(text: string): void {
  try {
    writeAll(process.stderr.fd, text);
  } catch {
    // The work goes on all the same.
  }
}

/**
 * Writes all of the text to an open file or pipe before it returns. A reader that closed early is no error.
 * @throws system errors otherwise.
 */
export function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") throw error;
      Bun.sleepSync(1);
    }
  }
}

/**
 * Tells what a command did: on standard output, and in the event `done`.
 * @param text for people; empty where nothing is to be said.
 */
export async function printSummary(summary: object, text: string, json: boolean): Promise<void> {
  events()?.summary(summary);
  await print(json ? `${JSON.stringify(summary, undefined, 2)}\n` : text);
}

/**
 * Writes to standard output and waits until all of it has left. A reader that closed early (`| head`) is no error.
 * Nothing is written where standard output has the events. Names that came from files cannot steer a terminal.
 * @throws SinterError where it cannot be written.
 */
export async function print(text: string): Promise<void> {
  await printExactly(visible(text));
}

/** The same for text that is a file's content: in a file it stays as it is, on a terminal it is made visible. */
export async function printFile(text: string): Promise<void> {
  await printExactly(process.stdout.isTTY ? visible(text) : text);
}

async function printExactly(text: string): Promise<void> {
  // Bun takes an empty write for the wish to have an empty file, and cuts off what a redirected output holds.
  if (text === "" || events()?.onStandardOutput === true) return;
  try {
    await Bun.write(Bun.stdout, text);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EPIPE") return;
    const { message, hint } = fileProblem("cannot write to standard output", "", error);
    throw new SinterError({ code: "standard-output", message, hint });
  }
}
