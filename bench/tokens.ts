/**
 * `bun run bench:tokens`: what merging by token costs. Two models of one layer with vocabularies of 151,936 tokens and
 * embeddings 896 wide in bfloat16, in a memory file system: planning with one tokenizer, with the same tokens in
 * another order, and with a tenth of the tokens new; and the merge with and without rows to gather.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadMergeConfig } from "../src/config/read.ts";
import { Report } from "../src/errors.ts";
import { native } from "../src/native.ts";
import { buildPlan } from "../src/plan/build.ts";
import { DEFAULT_OPTIONS, type MergePlan } from "../src/plan/types.ts";
import { silentProgress } from "../src/run/progress.ts";
import { runPlan } from "../src/run/run.ts";

const TOKENS = 151_936;
const WIDTH = 896;
const REPEATS = 5;
const MEMORY = "/dev/shm";

const dir = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "sinter-tokens-"));
try {
  const vocabulary = makeVocabulary();
  writeModel("base", vocabulary);
  writeModel("same", vocabulary);
  writeModel("moved", { ...vocabulary, ids: vocabulary.ids.map((id) => (id * 77_773) % TOKENS) });
  writeModel("other", withNewTokens(vocabulary, TOKENS / 10));
  const kinds = {
    plain: ["same", ""],
    same: ["same", "union"],
    moved: ["moved", "union"],
    other: ["other", "union"],
  } as const;
  console.log("tokens                plan, ms    merge, ms");
  for (const [name, [model, source]] of Object.entries(kinds)) {
    const plans = Array.from({ length: REPEATS }, () => timedPlan(model, source));
    const merges: number[] = [];
    for (const { plan } of plans) merges.push(await timedMerge(plan));
    console.log(`${name.padEnd(20)}${median(plans.map(({ ms }) => ms)).padStart(9)}${median(merges).padStart(13)}`);
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}

interface Vocabulary {
  tokens: string[];
  ids: number[];
  merges: [string, string][];
}

/** Bytes, and words of them: each token joins two before it, shorter ones more often. */
function makeVocabulary(): Vocabulary {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const tokens = Array.from({ length: 256 }, (_, i) => String.fromCodePoint(0x100 + i));
  const known = new Set(tokens);
  const merges: [string, string][] = [];
  while (tokens.length < TOKENS) {
    const left = tokens[Math.floor(random() ** 2 * tokens.length)] as string;
    const right = tokens[Math.floor(random() ** 3 * tokens.length)] as string;
    if (left.length + right.length > 14 || known.has(left + right)) continue;
    known.add(left + right);
    tokens.push(left + right);
    merges.push([left, right]);
  }
  return { tokens, ids: tokens.map((_, id) => id), merges };
}

/** The last tokens give way to others: words of before with another end. Merges of what is gone go, too. */
function withNewTokens({ tokens, ids, merges }: Vocabulary, count: number): Vocabulary {
  const kept = tokens.slice(0, tokens.length - Math.floor(count));
  const end = tokens[7] as string;
  const known = new Set(kept);
  const stems = kept
    .slice(1000)
    .filter((token) => !known.has(token + end))
    .slice(0, tokens.length - kept.length);
  const joins = stems.map((token): [string, string] => [token, end]);
  const rest = merges.filter(([left, right]) => known.has(left + right));
  return { tokens: [...kept, ...stems.map((token) => token + end)], ids, merges: [...rest, ...joins] };
}

function writeModel(name: string, { tokens, ids, merges }: Vocabulary): void {
  const folder = join(dir, name);
  mkdirSync(folder);
  const vocab = Object.fromEntries(tokens.map((token, i) => [token, ids[i]]));
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify({ model: { type: "BPE", vocab, merges } }, null, 2));
  const config = { architectures: ["Qwen2ForCausalLM"], model_type: "qwen2", hidden_size: WIDTH, vocab_size: TOKENS };
  writeFileSync(
    join(folder, "config.json"),
    JSON.stringify({ ...config, num_hidden_layers: 0, tie_word_embeddings: true }),
  );
  if (name !== "base") {
    copyFileSync(join(dir, "base", "model.safetensors"), join(folder, "model.safetensors"));
    return;
  }
  const bytes = 2 * TOKENS * WIDTH;
  const header = JSON.stringify({
    "model.embed_tokens.weight": { dtype: "BF16", shape: [TOKENS, WIDTH], data_offsets: [0, bytes] },
    "model.norm.weight": { dtype: "BF16", shape: [WIDTH], data_offsets: [bytes, bytes + 2 * WIDTH] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const values = new Uint16Array(bytes / 2 + WIDTH).map((_, i) => 0x3c00 + ((i * 31) % 255));
  writeFileSync(
    join(folder, "model.safetensors"),
    Buffer.concat([length, Buffer.from(header), Buffer.from(values.buffer)]),
  );
}

function timedPlan(model: string, source: string): { plan: MergePlan; ms: number } {
  const file = join(dir, `${model}-${source}.yml`);
  const models = ["base", model].map((name) => `  - {model: ${join(dir, name)}, parameters: {weight: 0.5}}`);
  const text = ["merge_method: linear", `base_model: ${join(dir, "base")}`, "models:", ...models, "dtype: bfloat16"];
  writeFileSync(file, [...text, source === "" ? "" : `tokenizer_source: ${source}`].join("\n"));
  const begun = performance.now();
  const report = new Report();
  const plan = buildPlan(loadMergeConfig(file, { strict: false }, report), DEFAULT_OPTIONS, "merged", report);
  return { plan, ms: performance.now() - begun };
}

async function timedMerge(plan: MergePlan): Promise<number> {
  const out = join(dir, "out");
  const begun = performance.now();
  await runPlan(plan, out, { force: true, resume: true, nan: "warn", sync: false }, native(), silentProgress);
  const ms = performance.now() - begun;
  rmSync(out, { recursive: true });
  return ms;
}

function median(values: readonly number[]): string {
  return (values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0).toFixed(0);
}
