import { dirname, join, parse, resolve } from "node:path";
import { DEFAULT_OPTIONS } from "../../plan/types.ts";
import { type CommandModule, runCommandLine } from "../command.ts";
import { type CommandSpec, integer, type Options, type OptionValues, text } from "../option.ts";

const OPTIONS = {
  maxShardSize: {
    kind: "value",
    name: "max_shard_size",
    metavar: "BYTES",
    read: integer(1),
    default: 5 * 1024 ** 3,
    shownDefault: String(5 * 1024 ** 3),
    doc: "Most bytes of tensors in one output file.",
    group: "Output Settings",
  },
  outputDir: {
    kind: "value",
    name: "output_dir",
    metavar: "FOLDER",
    read: text,
    default: undefined,
    shownDefault: "BASE--SUB beside the submodel",
    doc: "The folder to write the model to. A model that is there is replaced.",
    group: "Output Settings",
  },
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "mergekit-fill-missing-params",
  summary:
    "Put the weights of a part of a model into the whole: Sinter, with the command line of mergekit 0.1.4's " +
    "fill_missing_params.",
  positionals: [
    { name: "BASE_MODEL_REPO_ID", doc: "The model that has everything: a folder or a hub id.", required: true },
    { name: "SUB_MODEL_DIR", doc: "The model whose tensors replace those of the same name.", required: true },
  ],
  options: OPTIONS,
  examples: [{ command: "mergekit-fill-missing-params org/vl ./language --output_dir ./filled", doc: "Fill it up" }],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(
  { maxShardSize, outputDir }: OptionValues<typeof OPTIONS>,
  [base = "", part = ""]: readonly string[],
): Promise<number> {
  // mergekit takes what follows the last dot of a folder's name for its ending, and leaves it out.
  const beside = join(dirname(resolve(part)), `${parse(base).name}--${parse(part).name}`);
  const { runFill } = await import("../programs/run-fill.ts");
  return await runFill(
    { base, part },
    { ...DEFAULT_OPTIONS, outShardSize: maxShardSize },
    {
      out: outputDir ?? beside,
      run: { force: true, resume: true, nan: "warn", sync: true },
      engine: { threads: 0, target: "auto" },
      messages: { quiet: false, json: false, plan: false },
    },
  );
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
