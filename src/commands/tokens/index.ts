import { nearest } from "../../errors.ts";
import type { CommandEntry } from "../index.ts";
import { UsageError } from "../parse.ts";
import { print, printFailure, writeError } from "../terminal.ts";

/** Every subcommand of `sinter tokens`. */
const SUBCOMMANDS: Readonly<Record<string, CommandEntry>> = {
  transplant: {
    summary: "Write a model with another model's tokenizer: rows of tokens that it lacks are approximated.",
    load: () => import("./transplant.ts"),
  },
};

/** Finds the subcommand, which reads its own arguments. @returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === "--help" || name === "-h") {
    await print(help());
    return 0;
  }
  if (name === undefined) {
    writeError(help());
    return 2;
  }
  const entry = Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined;
  if (entry === undefined) return printFailure(new UsageError(unknown(name)), undefined);
  return await (await entry.load()).main(rest);
}

function unknown(name: string) {
  const names = Object.keys(SUBCOMMANDS);
  const near = nearest(name, names);
  const hint = near === undefined ? `its commands are ${names.join(", ")}` : `did you mean ${near}?`;
  return { code: "unknown-command", message: `sinter tokens has no command ${name}`, hint };
}

function help(): string {
  const width = Math.max(...Object.keys(SUBCOMMANDS).map((name) => name.length)) + 2;
  const lines = Object.entries(SUBCOMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`);
  return `Usage: sinter tokens COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n${lines.join("\n")}\n`;
}
