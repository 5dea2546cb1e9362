import { DEFAULT_OPTIONS } from "../../plan/types.ts";
import { type CommandModule, runCommandLine } from "../command.ts";
import { loraCacheOf } from "../lora-cache-options.ts";
import { ALLOW_SAME } from "../moe-options.ts";
import type { CommandSpec, Options, OptionValues } from "../option.ts";
import { MERGEKIT_OPTIONS } from "./mergekit-options.ts";
import { refuseGpu } from "./refuse-gpu.ts";

function loadIn(bits: 4 | 8) {
  return {
    kind: "flag",
    name: `load-in-${bits}bit`,
    negatable: false,
    default: false,
    doc: "No effect: hidden states are computed from the weights as they are, in a fraction of the memory this would take.",
    group: "Performance",
  } as const;
}

const OPTIONS = {
  loadIn4bit: loadIn(4),
  loadIn8bit: loadIn(8),
  allowSame: { ...ALLOW_SAME, group: "Dangerous Options" },
  ...MERGEKIT_OPTIONS,
  randomSeed: {
    ...MERGEKIT_OPTIONS.randomSeed,
    doc: "Seed of random routers and of noise. The same seed gives the same bytes everywhere.",
  },
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "mergekit-moe",
  summary:
    "Build a mixture of experts as a configuration says: Sinter, with the command line of mergekit 0.1.4. Options that " +
    "have no meaning here are accepted, and explained below.",
  positionals: [
    { name: "CONFIG_PATH", doc: "The configuration, a YAML file.", required: true },
    { name: "OUT_PATH", doc: "The folder to write the model to. A model that is there is replaced.", required: true },
  ],
  options: OPTIONS,
  examples: [
    { command: "mergekit-moe experts.yml ./mixture", doc: "A mixture of experts; the result is a model folder" },
    { command: "sinter moe experts.yml ./mixture", doc: "The same in Sinter's own words, with more choices" },
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(values: OptionValues<typeof OPTIONS>, [config = "", out = ""]: readonly string[]): Promise<number> {
  refuseGpu(values);
  const { executeMixture } = await import("../execute-moe.ts");
  const { outShardSize, copyTokenizer, writeModelCard, safeSerialization, allowSame } = values;
  return await executeMixture({
    config,
    out,
    options: {
      ...DEFAULT_OPTIONS,
      outShardSize,
      copyTokenizer,
      writeModelCard,
      safeSerialization,
      seed: values.randomSeed,
      cacheDir: values.transformersCache,
      expertLayout: "separate",
    },
    allowSame,
    loraCache: loraCacheOf(values),
    run: { force: true, resume: true, nan: "warn", sync: true },
    engine: { threads: values.numThreads, target: "auto" },
    messages: { quiet: values.quiet, json: false, plan: values.verbosity > 0 && !values.quiet },
  });
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
