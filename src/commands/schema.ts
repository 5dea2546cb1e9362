import { nearest } from "../errors.ts";
import { SCHEMAS, schemaText } from "../schema/index.ts";
import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import type { CommandSpec, Options } from "./option.ts";
import { UsageError } from "./parse.ts";
import { print, printFile } from "./terminal.ts";

const OPTIONS = {} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter schema",
  summary: COMMANDS.schema.summary,
  positionals: [
    {
      name: "KIND",
      doc: "merge, multi, moe, bakllama, event or architecture; without it, they are listed.",
      required: false,
      words: Object.keys(SCHEMAS),
    },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter schema", doc: "List the kinds" },
    { command: "sinter schema merge > merge.schema.json", doc: "For an editor" },
  ],
  notes: [
    "An editor with a YAML language server completes and checks a file whose first line is " +
      '"# yaml-language-server: $schema=merge.schema.json".',
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(_: unknown, [kind]: readonly string[]): Promise<number> {
  const kinds = Object.keys(SCHEMAS);
  if (kind === undefined) {
    const { columns } = await import("./columns.ts");
    await print(`${columns(Object.entries(SCHEMAS).map(([name, { doc }]) => [name, doc]))}\n`);
    return 0;
  }
  if (!Object.hasOwn(SCHEMAS, kind)) {
    const near = nearest(kind, kinds);
    const hint = near === undefined ? `there are ${kinds.join(", ")}` : `did you mean ${near}?`;
    throw new UsageError({ code: "unknown-schema", message: `No such schema: ${kind}`, hint });
  }
  await printFile(schemaText(kind));
  return 0;
}
