import type { CommandEntry } from "./command.ts";
import { COMMANDS } from "./index.ts";
import type { CommandSpec } from "./option.ts";
import { PROGRAMS } from "./programs.ts";

/** A command as completions and manual pages see it. */
export interface ReferencedCommand {
  /** The words it is called by: `sinter`, `tokens`, `diff`. */
  words: readonly string[];
  summary: string;
  /** Absent where the command takes other commands only, or nothing. */
  spec: CommandSpec | undefined;
  /** Commands within it. */
  commands: readonly ReferencedCommand[];
}

/** Every program, with the commands within it. Loads all of them. */
export async function commandReference(summary: string): Promise<ReferencedCommand[]> {
  const sinter = { words: ["sinter"], summary, spec: undefined, commands: await within(["sinter"], COMMANDS) };
  const programs = Object.entries(PROGRAMS).map(async ([name, load]): Promise<ReferencedCommand[]> => {
    const { spec } = await load();
    return spec === undefined ? [] : [{ words: [name], summary: spec.summary, spec, commands: [] }];
  });
  return [sinter, ...(await Promise.all(programs)).flat()];
}

async function within(
  parent: readonly string[],
  entries: Readonly<Record<string, CommandEntry>>,
): Promise<ReferencedCommand[]> {
  return await Promise.all(
    Object.entries(entries).map(async ([name, { summary, load }]) => {
      const { spec, subcommands = {} } = await load();
      const words = [...parent, name];
      return { words, summary, spec, commands: await within(words, subcommands) };
    }),
  );
}

/** A command and all within it. */
export function flattened(command: ReferencedCommand): ReferencedCommand[] {
  return [command, ...command.commands.flatMap(flattened)];
}
