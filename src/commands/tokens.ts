import { nearest } from "../errors.ts";
import type { CommandModule } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { UsageError } from "./parse.ts";
import { print, printFailure } from "./terminal.ts";

interface Entry {
  summary: string;
  load: () => Promise<CommandModule>;
}

/** What `sinter tokens` does. */
const SUBCOMMANDS: Readonly<Record<string, Entry>> = {
  diff: {
    summary: "Show what differs between the tokenizers of two models.",
    load: () => import("./tokens-diff.ts"),
  },
  transplant: {
    summary: "Write a model with the tokenizer of another: rows of tokens that it lacks are approximated.",
    load: () => import("./tokens-transplant.ts"),
  },
};

export const main: CommandModule["main"] = async (args) => {
  const [name, ...rest] = args;
  if (name === "--help" || name === "-h") {
    await print(help());
    return 0;
  }
  const entry = name !== undefined && Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined;
  if (entry === undefined) return printFailure(unknown(name), undefined);
  return await (await entry.load()).main(rest);
};

function unknown(name: string | undefined): UsageError {
  const known = Object.keys(SUBCOMMANDS);
  const near = name === undefined ? undefined : nearest(name, known);
  return new UsageError({
    code: "unknown-command",
    message: name === undefined ? "sinter tokens needs a command" : `No such command: tokens ${name}`,
    hint:
      near === undefined
        ? `the commands are ${known.map((one) => `tokens ${one}`).join(", ")}`
        : `did you mean tokens ${near}?`,
  });
}

function help(): string {
  const width = Math.max(...Object.keys(SUBCOMMANDS).map((name) => name.length)) + 2;
  const lines = Object.entries(SUBCOMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`);
  return `Usage: sinter tokens COMMAND [OPTIONS] [ARGUMENTS]

  ${COMMANDS.tokens.summary}

Commands:
${lines.join("\n")}
`;
}
