/** Merges three models that it makes itself, and checks the result. `bun run demo` */
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { executeMerge } from "../src/commands/execute-merge.ts";
import { executePlan } from "../src/commands/execute-plan.ts";
import { SinterError } from "../src/errors.ts";
import { DEFAULT_OPTIONS } from "../src/plan/types.ts";
import { formatBytes } from "../src/run/units.ts";
import { checkTies } from "./demo/check.ts";
import { DEMO } from "./family/shape.ts";
import { type Family, writeFamily } from "./family/write.ts";
import { ROOT } from "./paths.ts";

/** Noise as far from the base as a fine-tune of Qwen2-0.5B commonly is. */
const FAMILY: Family = {
  shape: DEMO,
  models: [
    { name: "base", noise: 0 },
    { name: "chat", noise: 3e-4 },
    { name: "code", noise: 3e-4 },
  ],
  shardBytes: 60_000_000,
};

/** Powers of two are the same in float32 and float64: where weighted differences cancel out, they do so in both. */
const WEIGHT = 0.5;
const DENSITY = 0.5;

const CONFIG = "demo/ties.yml";
const OUT = "demo/merged";

const CONFIG_TEXT = `# mergekit's format. Paths are relative to the folder that the command is started in.
merge_method: ties
base_model: ./demo/models/base
models:
  - model: ./demo/models/chat
    parameters:
      weight: ${WEIGHT}
      density: ${DENSITY}
  - model: ./demo/models/code
    parameters:
      weight: ${WEIGHT}
      density: ${DENSITY}
dtype: bfloat16
`;

const bold = process.stdout.isTTY && !process.env.NO_COLOR ? (text: string) => `\u001B[1m${text}\u001B[22m` : String;

async function demo(): Promise<void> {
  process.chdir(ROOT);
  const begun = performance.now();
  step(1, "Three models: Qwen2-0.5B's names and widths, 3 layers, tied embeddings, bfloat16");
  makeModels();

  step(2, `The plan: sinter plan ${CONFIG} ${OUT} --force`);
  writeFileSync(CONFIG, CONFIG_TEXT);
  await executePlan({
    config: CONFIG,
    out: OUT,
    options: DEFAULT_OPTIONS,
    force: true,
    threads: 0,
    memory: 0,
    ops: false,
    json: false,
  });

  step(3, `The merge: sinter merge ${CONFIG} ${OUT} --force`);
  await executeMerge({
    config: CONFIG,
    out: OUT,
    options: DEFAULT_OPTIONS,
    run: { force: true, resume: true, nan: "warn", sync: true },
    engine: { threads: 0, target: "auto" },
    messages: { quiet: false, json: false, plan: false },
  });

  step(4, "The check: TIES recomputed in float64 from the input files");
  check();

  step(5, "What next");
  console.log(NEXT.trimEnd());
  console.log(`\nDone in ${((performance.now() - begun) / 1000).toFixed(1)} s.`);
}

function step(number: number, title: string): void {
  console.log(`\n${bold(`${number}. ${title}`)}`);
}

function makeModels(): void {
  mkdirSync("demo", { recursive: true });
  const live = process.stderr.isTTY;
  const written = writeFamily("demo/models", FAMILY, (done, total) => {
    if (live) process.stderr.write(`\rwriting ${formatBytes(done)} of ${formatBytes(total)}\u001B[K`);
  });
  if (live && written) process.stderr.write("\r\u001B[K");
  for (const { name, noise } of FAMILY.models) {
    const folder = join("demo/models", name);
    const files = readdirSync(folder).filter((file) => file.endsWith(".safetensors"));
    const bytes = files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
    const origin = noise === 0 ? "random weights" : `base + noise of standard deviation ${noise}, rounded to bfloat16`;
    console.log(`${folder}  ${formatBytes(bytes)} in ${files.length} files: ${origin}`);
  }
  if (!written) console.log("(from an earlier run)");
}

function check(): void {
  const folder = (name: string) => join("demo/models", name);
  const result = checkTies({
    base: folder("base"),
    models: ["chat", "code"].map((name) => ({ folder: folder(name), weight: WEIGHT, density: DENSITY })),
    lambda: 1,
    merged: OUT,
  });
  const percent = (part: number) => `${((100 * part) / result.elements).toFixed(part === result.elements ? 0 : 4)} %`;
  const changed = ((100 * result.changed) / result.elements).toFixed(0);
  console.log(
    `${result.elements.toLocaleString("en")} elements of ${result.tensors} tensors, ${changed} % changed by the merge`,
  );
  console.log(`${percent(result.exact)} are the float64 result rounded once to bfloat16`);
  if (result.wrong > 0 || result.changed === 0) {
    throw new Error(`${result.wrong} elements of ${OUT} differ from the float64 result: please report this`);
  }
  if (result.exact < result.elements) console.log("the rest are next to it, where work in float32 tips the rounding");
}

const NEXT = `The merged model is in ${OUT}: a Hugging Face folder with weights, config.json, tokenizer and model card.

bin/sinter merge your-config.yml ./merged      your own mergekit YAML
bin/sinter plan examples/slerp-gradient.yml    other methods, on these models
bin/sinter methods ties                        what a method computes, and its parameters
bin/sinter doctor                              what this machine offers: instruction set, threads, GPU
bin/mergekit-yaml your-config.yml ./merged     the same in scripts that call mergekit-yaml
`;

try {
  await demo();
} catch (error) {
  console.error(error instanceof SinterError ? error.message : error);
  process.exit(1);
}
