/**
 * `bun test/conformance/make-subset.ts KIT`: copies the cases below, the models they name and the tensors they expect
 * from a conformance kit into `subset/` next to this file, in the kit's layout. The models are tiny, random and made for
 * the kit: no licence but this repository's applies.
 */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { readSafetensors, type StoredTensor, writeSafetensors } from "../support/safetensors.ts";
import { JUDGEMENTS } from "./judgements.ts";
import type { Case } from "./kit.ts";

const CASES = [
  // Methods, in float32 and in bfloat16.
  "m-linear-f32",
  "m-linear-bf16",
  "m-slerp-f32",
  "m-task_arithmetic_norm_lambda-f32",
  "m-ties-f32",
  "m-ties-bf16",
  "m-ties_rescale-f32",
  "r-dare_linear-f32",
  "r-dare_ties-f32",
  "r-dare_single_rescale-f32",
  "m-nuslerp_base-f32",
  "m-nuslerp_rowwise-f32",
  "m-multislerp_base-f32",
  "m-karcher-f32",
  "m-model_stock_filterwise-f32",
  "m-breadcrumbs_ties-f32",
  "c-breadcrumbs-gamma0",
  "r-della-f32",
  "m-sce_int8-f32",
  "m-ramplus_tl-f32",
  "m-nearswap-f32",
  "m-arcee_fusion-bf16",
  // Parameters, slices and gradients.
  "c-precedence-slice",
  "c-linear-weight-gradient-filter",
  "c-gradient-two-slices",
  "c-slice-base-model",
  "c-frankenmerge",
  "c-frankenmerge-same-model-scale",
  "c-slice-same-model-two-ranges",
  "c-ties-same-model-twice",
  "c-linear-base-not-listed",
  "c-out-dtype-fp16",
  // Tied embeddings.
  "t-qwen2-tied-linear",
  "t-qwen2-tied-stack",
  // Mixtures of experts.
  "moe-qwen2-tied-cheap_embed",
  "moe-qwen2-tied-noshared",
  "moe-qwen-from-llama",
  "moe-mixtral-llama",
  "moe-mixtral-hidden",
  "moe-mixtral-uniform_random",
  "moe-err-archmismatch",
  // Tokenizers and chat templates.
  "k-tok-union",
  "k-tok-union-pad",
  "k-tok-slerp-union",
  "k-tok-mixed-tied-union",
  "k-tok-force",
  "k-tok-zero",
  "k-tok-model-nonmember",
  "k-chat-literal",
  "k-chat-invalid",
  // Adapters.
  "o-lora-dtype",
  "o-lora-nocache",
  "x-extract-lora-tied",
  // Options.
  "o-shard-20k",
  "o-no-safe-serialization",
  "o-no-model-card",
  "o-verbose",
  // Errors.
  "c-slerp-3-models",
  "c-bool-param-strings",
  "e-unknown-method",
  "e-missing-weight",
  "e-missing-t",
  "e-models-and-slices",
  "e-no-models",
  "e-bad-dtype",
  "e-bad-out-dtype",
  "e-bad-yaml",
  "e-slice-len-mismatch",
  "e-bad-option",
  "e-nuslerp-base-in-models",
  "e-nearswap-two",
  "e-sce-no-base",
];

const kit = process.argv[2];
if (kit === undefined) throw new Error("usage: bun test/conformance/make-subset.ts KIT");
const subset = join(import.meta.dir, "subset");
rmSync(subset, { recursive: true, force: true });

const index = (JSON.parse(readFileSync(join(kit, "cases", "index.json"), "utf8")) as Case[]).filter(({ name }) =>
  CASES.includes(name),
);
if (index.length !== CASES.length) throw new Error("the kit lacks some of the cases");
write("cases/index.json", `[\n${index.map((entry) => JSON.stringify(entry)).join(",\n")}\n]\n`);

const wanted = new Set<string>();
for (const name of CASES) {
  copy(`cases/${name}`);
  for (const part of ["expected", "expected_partial"]) {
    const file = join(kit, "cases", name, part, "tensors.json");
    if (!existsSync(file)) continue;
    const record = JSON.parse(readFileSync(file, "utf8")) as Expectation;
    for (const { data } of Object.values(record.tensors)) if (data !== null) wanted.add(data);
    for (const from of Object.values(record.same_bytes_as)) copy(from);
  }
}
for (const judgement of CASES.map((name) => JUDGEMENTS[name])) {
  if (judgement?.right === "like" && !CASES.includes(judgement.other)) throw new Error(`${judgement.other} is missing`);
}
for (const model of namedModels()) copy(`models/${model}`);
copyPool();

interface Expectation {
  same_bytes_as: Record<string, string>;
  tensors: Record<string, { data: string | null }>;
}

function copy(path: string): void {
  mkdirSync(dirname(join(subset, path)), { recursive: true });
  cpSync(join(kit as string, path), join(subset, path), { recursive: true });
  // A kit may be read-only; the copy is as any other file of the repository.
  for (const name of readdirSync(dirname(join(subset, path)), { recursive: true, encoding: "utf8" })) {
    const copied = join(dirname(join(subset, path)), name);
    chmodSync(copied, statSync(copied).isDirectory() ? 0o755 : 0o644);
  }
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(subset, path)), { recursive: true });
  writeFileSync(join(subset, path), text);
}

/** Every model that a command or a configuration names or an expectation refers to. */
function namedModels(): Set<string> {
  const configs = CASES.map((name) => join(subset, "cases", name, "config.yml")).filter(existsSync);
  const texts = [...index.map(({ command }) => command), ...configs.map((path) => readFileSync(path, "utf8"))];
  const known = readdirSync(join(kit as string, "models"));
  return new Set(
    [...texts, ...wanted]
      .flatMap((text) => text.match(/(?<=models\/)[\w-]+/g) ?? [])
      .filter((model) => known.includes(model)),
  );
}

function copyPool(): void {
  const pool = readSafetensors(join(kit as string, "pool.safetensors")).tensors;
  const keys = [...wanted].filter((data) => data.startsWith("pool::")).map((data) => data.slice("pool::".length));
  const tensors = new Map(keys.map((key) => [key, pool.get(key) as StoredTensor]));
  writeSafetensors(join(subset, "pool.safetensors"), tensors);
}
