import { nearest } from "../errors.ts";
import type { CommandModule } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { UsageError } from "./parse.ts";
import { print, printFailure, writeError } from "./terminal.ts";

const ACTIONS: Readonly<Record<string, { summary: string; load: () => Promise<CommandModule> }>> = {
  extract: {
    summary: "Make an adapter of what a fine-tune changed in its base.",
    load: () => import("./lora-extract.ts"),
  },
  convert: {
    summary: "Apply an adapter to its model for good, or lower an adapter's rank.",
    load: () => import("./lora-convert.ts"),
  },
};

/** `sinter lora ACTION …`: each action has options of its own. */
export async function main(args: readonly string[]): Promise<number> {
  const [action, ...rest] = args;
  const found = action === undefined ? undefined : ACTIONS[action];
  if (found !== undefined) return await (await found.load()).main(rest);
  if (action === "--help" || action === "-h") {
    await print(help());
    return 0;
  }
  if (action === undefined) {
    writeError(help());
    return 2;
  }
  const near = nearest(action, Object.keys(ACTIONS));
  const hint = near === undefined ? `the actions are ${Object.keys(ACTIONS).join(", ")}` : `did you mean ${near}?`;
  return printFailure(
    new UsageError({ code: "unknown-action", message: `No such action: ${action}`, hint }),
    undefined,
  );
}

function help(): string {
  const lines = Object.entries(ACTIONS).map(([name, { summary }]) => `  ${name.padEnd(9)}${summary}`);
  return `Usage: sinter lora ACTION [OPTIONS] [ARGUMENTS]

  ${COMMANDS.lora.summary}

Actions:
${lines.join("\n")}

An adapter needs no action to take part in a merge: name it after its model, as base+adapter.
sinter lora ACTION --help says what an action takes.
`;
}
