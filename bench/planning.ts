/**
 * `bun run bench:planning`: how long it takes to plan a merge of the largest open models, and how much memory.
 *
 * Three models of the shape of DeepSeek-V3: 671 billion parameters each, in bfloat16 (1.34 TB) in 163 files, 45,540
 * tensors. Headers are real, tensors are holes in sparse files: a plan reads none of them. See docs/performance.md.
 */
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BIN = join(import.meta.dir, "..", "bin", "sinter");
const LAYERS = 61;
const DENSE_LAYERS = 3;
const EXPERTS = 256;
const HIDDEN = 7168;
const DENSE = 18_432;
const EXPERT = 2048;
const VOCABULARY = 129_280;
const FILES = 163;
const REPETITIONS = 3;

const CONFIG = {
  architectures: ["DeepseekV3ForCausalLM"],
  model_type: "deepseek_v3",
  num_hidden_layers: LAYERS,
  first_k_dense_replace: DENSE_LAYERS,
  n_routed_experts: EXPERTS,
  n_shared_experts: 1,
  q_lora_rank: 1536,
  hidden_size: HIDDEN,
  intermediate_size: DENSE,
  moe_intermediate_size: EXPERT,
  vocab_size: VOCABULARY,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
};

type Shape = [name: string, shape: number[]];

function mlp(prefix: string, width: number): Shape[] {
  return [
    [`${prefix}.gate_proj.weight`, [width, HIDDEN]],
    [`${prefix}.up_proj.weight`, [width, HIDDEN]],
    [`${prefix}.down_proj.weight`, [HIDDEN, width]],
  ];
}

function tensors(): Shape[] {
  const all: Shape[] = [["model.embed_tokens.weight", [VOCABULARY, HIDDEN]]];
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}`;
    all.push(
      [`${at}.input_layernorm.weight`, [HIDDEN]],
      [`${at}.post_attention_layernorm.weight`, [HIDDEN]],
      [`${at}.self_attn.q_a_proj.weight`, [1536, HIDDEN]],
      [`${at}.self_attn.q_a_layernorm.weight`, [1536]],
      [`${at}.self_attn.q_b_proj.weight`, [24_576, 1536]],
      [`${at}.self_attn.kv_a_proj_with_mqa.weight`, [576, HIDDEN]],
      [`${at}.self_attn.kv_a_layernorm.weight`, [512]],
      [`${at}.self_attn.kv_b_proj.weight`, [32_768, 512]],
      [`${at}.self_attn.o_proj.weight`, [HIDDEN, 16_384]],
    );
    if (layer < DENSE_LAYERS) {
      all.push(...mlp(`${at}.mlp`, DENSE));
      continue;
    }
    all.push([`${at}.mlp.gate.weight`, [EXPERTS, HIDDEN]], [`${at}.mlp.gate.e_score_correction_bias`, [EXPERTS]]);
    for (let expert = 0; expert < EXPERTS; expert++) all.push(...mlp(`${at}.mlp.experts.${expert}`, EXPERT));
    all.push(...mlp(`${at}.mlp.shared_experts`, EXPERT));
  }
  return [...all, ["model.norm.weight", [HIDDEN]], ["lm_head.weight", [VOCABULARY, HIDDEN]]];
}

/** @returns the model's parameters and tensors. */
function writeModel(folder: string): { parameters: number; tensors: number } {
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), JSON.stringify(CONFIG));
  const all = tensors();
  const perFile = Math.ceil(all.length / FILES);
  const weightMap: Record<string, string> = {};
  let parameters = 0;
  for (let file = 0; file * perFile < all.length; file++) {
    const name = `model-${String(file + 1).padStart(5, "0")}-of-${String(FILES).padStart(6, "0")}.safetensors`;
    const header: Record<string, unknown> = {};
    let end = 0;
    for (const [tensor, shape] of all.slice(file * perFile, (file + 1) * perFile)) {
      const count = shape.reduce((product, size) => product * size, 1);
      header[tensor] = { dtype: "BF16", shape, data_offsets: [end, end + 2 * count] };
      end += 2 * count;
      parameters += count;
      weightMap[tensor] = name;
    }
    writeSparse(join(folder, name), JSON.stringify(header), end);
  }
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }));
  return { parameters, tensors: all.length };
}

function writeSparse(path: string, header: string, dataBytes: number): void {
  const bytes = Buffer.alloc(8 + Buffer.byteLength(header));
  bytes.writeBigUInt64LE(BigInt(bytes.length - 8));
  bytes.write(header, 8);
  const file = openSync(path, "w");
  writeSync(file, bytes);
  ftruncateSync(file, bytes.length + dataBytes);
  closeSync(file);
}

async function plan(folder: string, ...args: string[]): Promise<{ seconds: number; megabytes: number }> {
  const start = performance.now();
  const child = Bun.spawn([BIN, "plan", ...args], {
    cwd: folder,
    env: { ...process.env, SINTER_BUN: process.execPath },
    stdout: "ignore",
    stderr: "ignore",
  });
  if ((await child.exited) !== 0) throw new Error("sinter plan failed");
  return { seconds: (performance.now() - start) / 1000, megabytes: (child.resourceUsage()?.maxRSS ?? 0) / 1e6 };
}

const root = mkdtempSync(join(tmpdir(), "sinter-planning-"));
try {
  const facts = ["base", "a", "b"].map((name) => writeModel(join(root, name)))[0];
  const recipe =
    "merge_method: ties\nbase_model: ./base\nmodels:\n  - {model: ./a, parameters: {weight: 0.5, density: 0.5}}\n";
  writeFileSync(join(root, "ties.yml"), `${recipe}  - {model: ./b, parameters: {weight: 0.5, density: 0.5}}\n`);
  console.log(
    `three models of ${((facts?.parameters ?? 0) / 1e9).toFixed(0)}B parameters, ${facts?.tensors} tensors each`,
  );
  for (const options of [[], ["--json"]]) {
    for (let run = 0; run < REPETITIONS; run++) {
      const { seconds, megabytes } = await plan(root, "ties.yml", ...options);
      const command = ["sinter plan", ...options].join(" ");
      console.log(`${command}: ${seconds.toFixed(2)} s, ${megabytes.toFixed(0)} MB at most`);
    }
  }
} finally {
  rmSync(root, { recursive: true });
}
