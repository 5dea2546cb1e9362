import { defineCommand, runCommand } from "citty";
import pkg from "../package.json" with { type: "json" };
import type { CommandEntry } from "./commands/command.ts";
import { COMMAND_GROUPS, COMMANDS } from "./commands/index.ts";
import { PROGRAMS } from "./commands/programs.ts";
import { nearest } from "./errors.ts";

const root = defineCommand({
  meta: { name: "sinter", version: pkg.version, description: pkg.description },
  subCommands: Object.fromEntries(
    Object.entries(COMMANDS).map(([name, { summary, load }]) => [name, () => subcommand(name, summary, load)]),
  ),
});

/** citty finds and loads the command; the command reads its own arguments, because citty lets unknown options pass. */
async function subcommand(name: string, description: string, load: CommandEntry["load"]) {
  const { main } = await load();
  return defineCommand({
    meta: { name, description },
    async run({ rawArgs }) {
      exitCode = await main(rawArgs);
    },
  });
}

let exitCode = 0;

function rootHelp(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length)) + 2;
  const groups = Object.entries(COMMAND_GROUPS).map(([title, names]) => {
    return `${title}:\n${names.map((name) => `  ${name.padEnd(width)}${COMMANDS[name].summary}`).join("\n")}`;
  });
  return `Usage: sinter COMMAND [OPTIONS] [ARGUMENTS]

  ${pkg.description}.

${groups.join("\n\n")}

Options:
  --help, -h     Show this text; after a command, what the command takes.
  --version, -V  Show the version.

Exit codes: 0 done, 1 refused or failed, 2 a mistake on the command line, 3 written but broken (--check),
128 + N stopped by signal N. docs/exit-codes.md says more.

Examples:
  # See what a configuration asks for, then do it
  sinter plan config.yml
  sinter merge config.yml ./merged

  # What ties computes, and its parameters
  sinter methods ties

  # In place of mergekit
  mergekit-yaml config.yml ./merged --copy-tokenizer
`;
}

/** A first argument that names no command. */
async function refuse(argument: string): Promise<number> {
  const option = argument.startsWith("-");
  const known = option ? ["--help", "--version"] : Object.keys(COMMANDS);
  const near = nearest(argument, known);
  const { printFailure } = await import("./commands/terminal.ts");
  const { UsageError } = await import("./commands/parse.ts");
  const problem = {
    code: option ? "unknown-option" : "unknown-command",
    message: option ? `No such option: ${argument}` : `No such command: ${argument}`,
    hint: near === undefined ? `the commands are ${Object.keys(COMMANDS).join(", ")}` : `did you mean ${near}?`,
  };
  return printFailure(new UsageError(problem), undefined);
}

/** Prints what was asked for; or, where nothing was, what may be asked. @returns the exit code. */
async function tell(text: string, isMistake: boolean): Promise<number> {
  const { print, printFailure, writeError } = await import("./commands/terminal.ts");
  try {
    if (isMistake) writeError(text);
    else await print(text);
    return isMistake ? 2 : 0;
  } catch (error) {
    return printFailure(error, undefined);
  }
}

/** The program `sinter`, from its arguments to its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const [first] = args;
  if (first === undefined || first === "--help" || first === "-h") {
    return await tell(rootHelp(), first === undefined);
  }
  if (first === "--version" || first === "-V") {
    return await tell(`sinter ${pkg.version}\n`, false);
  }
  if (Object.hasOwn(COMMANDS, first)) {
    await runCommand(root, { rawArgs: [...args] });
    return exitCode;
  }
  const program = Object.hasOwn(PROGRAMS, first) ? PROGRAMS[first] : undefined;
  return program === undefined ? await refuse(first) : await (await program()).main(args.slice(1));
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
