import { renderHelp } from "./help.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { parseCommandLine } from "./parse.ts";
import { print, printFailure } from "./terminal.ts";

/** A command: what it takes, and what it does. `run` returns the exit code. */
export interface Command<O extends Options> {
  spec: CommandSpec<O>;
  run(options: OptionValues<O>, positionals: readonly string[]): Promise<number>;
}

/** What a command's file exports: the whole command, from its arguments to its exit code, and what it takes. */
export interface CommandModule {
  main(args: readonly string[]): Promise<number>;
  /** Absent where the command takes nothing itself. */
  spec?: CommandSpec;
  /** Commands within the command, by name: `sinter tokens diff`. */
  subcommands?: Readonly<Record<string, CommandEntry>>;
}

/** A command before it is loaded. */
export interface CommandEntry {
  summary: string;
  load: () => Promise<CommandModule>;
}

/** Parses the arguments, prints help or runs the command; prints whatever goes wrong. @returns the exit code. */
export async function runCommandLine<O extends Options>(command: Command<O>, args: readonly string[]): Promise<number> {
  try {
    const parsed = parseCommandLine(command.spec, args);
    if (parsed.kind === "run") return await command.run(parsed.options, parsed.positionals);
    await print(renderHelp(command.spec));
    return 0;
  } catch (error) {
    return printFailure(error, command.spec);
  }
}
