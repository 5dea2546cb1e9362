import pkg from "../../package.json" with { type: "json" };
import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { type CommandSpec, choice, type Options } from "./option.ts";
import { UsageError } from "./parse.ts";
import { printFile } from "./terminal.ts";

const OPTIONS = {} as const satisfies Options;

export const SHELLS = ["bash", "zsh", "fish"] as const;
const shell = choice(SHELLS);

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter completions",
  summary: COMMANDS.completions.summary,
  positionals: [{ name: "SHELL", doc: "bash, zsh or fish.", required: true, words: SHELLS }],
  options: OPTIONS,
  examples: [
    { command: 'eval "$(sinter completions bash)"', doc: "In ~/.bashrc" },
    {
      command: "sinter completions zsh > ~/.zfunc/_sinter",
      doc: "For zsh, once, where ~/.zfunc is in $fpath before compinit",
    },
    { command: "sinter completions fish > ~/.config/fish/completions/sinter.fish", doc: "For fish, once" },
  ],
  notes: ["They cover the programs with mergekit's names, too."],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(_: unknown, [name = ""]: readonly string[]): Promise<number> {
  const read = shell(name);
  if ("wrong" in read) throw new UsageError({ code: "unknown-shell", message: read.wrong, hint: read.hint });
  const { completionScript } = await import("./completion-scripts.ts");
  const { commandReference } = await import("./reference.ts");
  await printFile(completionScript(read.value, await commandReference(pkg.description)));
  return 0;
}
