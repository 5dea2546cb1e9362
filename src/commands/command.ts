import { SinterError } from "../errors.ts";
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

/** Runs a command, and tells a program what goes on where one of `EVENTS_OPTION` asks for that. */
async function runParsed<O extends Options>(
  { spec, run }: Command<O>,
  options: OptionValues<O>,
  positionals: readonly string[],
): Promise<number> {
  const { events, json = false } = options as { events?: string; json?: boolean };
  if (events === undefined) return await run(options, positionals);
  const { withEvents } = await import("./event-log.ts");
  return await withEvents(events, json, spec.name, () => run(options, positionals));
}

/** Parses the arguments, prints help or runs the command; prints whatever goes wrong. @returns the exit code. */
export async function runCommandLine<O extends Options>(command: Command<O>, args: readonly string[]): Promise<number> {
  let json = false;
  try {
    const parsed = parseCommandLine(command.spec, args);
    if (parsed.kind === "run") {
      json =
        "json" in parsed.options &&
        parsed.options.json === true &&
        !("events" in parsed.options && parsed.options.events === "-");
      return await runParsed(command, parsed.options, parsed.positionals);
    }
    await print(renderHelp(command.spec));
    return 0;
  } catch (error) {
    const code = printFailure(error, command.spec);
    // Where standard output takes nothing, which may be what is wrong, standard error has it.
    if (json && error instanceof SinterError)
      await printJson({ problems: error.problems, warnings: error.warnings }).catch(() => {});
    return code;
  }
}

async function printJson(value: unknown): Promise<void> {
  await print(`${JSON.stringify(value, undefined, 2)}\n`);
}
