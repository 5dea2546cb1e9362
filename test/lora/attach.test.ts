import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Report } from "../../src/errors.ts";
import { openReference } from "../../src/lora/open.ts";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { parseModelRef } from "../../src/model/ref.ts";
import type { Model } from "../../src/model/types.ts";
import { readView } from "../conformance/truth.ts";
import { decode } from "../oracle/dtype.ts";
import { patched } from "../oracle/patch.ts";
import type { StoredTensor } from "../support/safetensors.ts";
import {
  type Family,
  factorShapes,
  GPT2,
  linearModules,
  llamaLike,
  someTensors,
  writeAdapter,
  writeModel,
} from "./peft.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-lora-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;

interface Opened {
  model: Model | undefined;
  report: Report;
  base: Map<string, StoredTensor>;
  adapter: Map<string, StoredTensor>;
}

/** Writes a model and an adapter, and opens them together. */
function open(family: Family, config: Record<string, unknown>, adapter: Map<string, StoredTensor>): Opened {
  const folder = join(root, String(folders++));
  const base = someTensors(family.shapes, 1);
  writeModel(join(folder, "base"), family.config, base);
  writeAdapter(join(folder, "adapter"), config, adapter);
  const ref = parseModelRef(`${folder}/base+${folder}/adapter`);
  if (typeof ref === "string") throw new Error(ref);
  const report = new Report();
  return { model: openReference({ ref }, { cacheDir: join(root, "cache") }, report), report, base, adapter };
}

/** A tensor as the model with its adapter has it. */
function weight({ model, report }: Opened, name: string): Float64Array {
  if (model === undefined) throw new Error(report.errors.map(({ message }) => message).join("; "));
  const view = model.tensors.get(name);
  if (view === undefined) throw new Error(`there is no ${name}`);
  return patched(decode(readView(view), view.dtype as FloatDtype), view.patches);
}

function values(tensor: StoredTensor | undefined): Float64Array {
  if (tensor === undefined) throw new Error("the tensor is not there");
  return decode(tensor.bytes, tensor.dtype as FloatDtype);
}

/** scale B A as [outputs, inputs], straight from its definition. */
function product(adapter: Map<string, StoredTensor>, path: string, scale: number): Float64Array {
  const a = adapter.get(`${path}.lora_A.weight`);
  const b = adapter.get(`${path}.lora_B.weight`);
  return multiplied(values(b), values(a), a?.shape[0] ?? 0, scale);
}

function multiplied(b: Float64Array, a: Float64Array, rank: number, scale: number): Float64Array {
  const [outputs, inputs] = [b.length / rank, a.length / rank];
  return Float64Array.from({ length: outputs * inputs }, (_, at) => {
    const [i, j] = [Math.floor(at / inputs), at % inputs];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += (b[i * rank + k] as number) * (a[k * inputs + j] as number);
    return scale * sum;
  });
}

function transposed(matrix: Float64Array, rows: number): Float64Array {
  const columns = matrix.length / rows;
  return Float64Array.from(matrix, (_, at) => matrix[(at % rows) * columns + Math.floor(at / rows)] as number);
}

function expectSum(ours: Float64Array, base: Float64Array, change: ArrayLike<number>): void {
  expect(ours.length).toBe(base.length);
  for (let i = 0; i < ours.length; i++) expect(ours[i]).toBeCloseTo((base[i] as number) + (change[i] as number), 10);
}

const LLAMA = llamaLike("llama", "LlamaForCausalLM");
const QWEN2 = llamaLike("qwen2", "Qwen2ForCausalLM", { tied: true, biases: true });
const GEMMA2 = llamaLike("gemma2", "Gemma2ForCausalLM", { tied: true, norms: 4 });

describe.each([
  ["llama", LLAMA],
  ["qwen2", QWEN2],
  ["gemma2", GEMMA2],
])("an adapter of %s", (_, family) => {
  const modules = linearModules(family);

  test("adds scale B A to every module that it has, and leaves the others", () => {
    const opened = open(family, {}, someTensors(factorShapes(modules, 4), 2));
    for (const [name, tensor] of opened.base) {
      const path = name.slice(0, -".weight".length);
      const change = path in modules ? product(opened.adapter, path, 6 / 4) : new Float64Array(values(tensor).length);
      expectSum(weight(opened, name), values(tensor), change);
    }
  });

  test("has of several patterns that fit the first, as it stands in the file", () => {
    const path = "model.layers.0.self_attn.q_proj";
    const config = { alpha_pattern: { "self_attn.q_proj": 3, [path]: 5 } };
    const opened = open(
      family,
      config,
      someTensors(factorShapes({ [path]: modules[path] as [number, number] }, 4), 25),
    );
    expectSum(
      weight(opened, `${path}.weight`),
      values(opened.base.get(`${path}.weight`)),
      product(opened.adapter, path, 3 / 4),
    );
  });

  test("may have a rank and an alpha for each module, and scale by the root of the rank", () => {
    const [first, second] = ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"] as const;
    const shapes = {
      ...factorShapes({ [first]: modules[first] as [number, number] }, 2),
      ...factorShapes({ [second]: modules[second] as [number, number] }, 8),
    };
    const config = {
      use_rslora: true,
      rank_pattern: { "layers.0.self_attn.q_proj": 2, down_proj: 8 },
      alpha_pattern: { "^model.layers.1.mlp.down_proj": 3 },
    };
    const opened = open(family, config, someTensors(shapes, 3));
    for (const [path, scale] of [
      [first, 6 / Math.sqrt(2)],
      [second, 3 / Math.sqrt(8)],
    ] as const) {
      const base = values(opened.base.get(`${path}.weight`));
      expectSum(weight(opened, `${path}.weight`), base, product(opened.adapter, path, scale));
    }
  });
});

describe("what target_modules leaves out is not applied, as in PEFT", () => {
  const both = ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"] as const;
  test.each([
    ["by a list and layers_to_transform", { target_modules: ["q_proj"], layers_to_transform: [1] }],
    ["by a regular expression", { target_modules: String.raw`.*\.1\.self_attn\.(?P<which>q|k)_proj` }],
    ["by exclude_modules", { target_modules: ["q_proj"], exclude_modules: ["layers.0.self_attn.q_proj"] }],
  ])("%s", (_, config) => {
    const modules = linearModules(LLAMA);
    const shapes = factorShapes(Object.fromEntries(both.map((path) => [path, modules[path] as [number, number]])), 4);
    const opened = open(LLAMA, config, someTensors(shapes, 4));
    const [left, taken] = both.map((path) => weight(opened, `${path}.weight`)) as [Float64Array, Float64Array];
    expect(left).toEqual(values(opened.base.get(`${both[0]}.weight`)));
    expect(taken).not.toEqual(values(opened.base.get(`${both[1]}.weight`)));
    expect(opened.report.warnings.map(({ code }) => code)).toEqual(["adapter-untargeted"]);
  });
});

describe("weights that are stored as [inputs, outputs]", () => {
  const modules = {
    "transformer.h.0.attn.c_attn": [16, 48],
    "transformer.h.0.attn.c_proj": [16, 16],
    "transformer.h.0.mlp.c_fc": [16, 64],
  } as const;

  test.each([true, false])("take the transposed product, square ones too (fan_in_fan_out %p)", (fanInFanOut) => {
    const opened = open(GPT2, { fan_in_fan_out: fanInFanOut }, someTensors(factorShapes(modules, 4), 5));
    for (const [path, [, outputs]] of Object.entries(modules)) {
      const change = transposed(product(opened.adapter, path, 6 / 4), outputs);
      expectSum(weight(opened, `${path}.weight`), values(opened.base.get(`${path}.weight`)), change);
    }
  });

  test.each([
    ["GPT-2's class says so of square ones alone", GPT2, "transformer.h.0.attn.c_proj", false],
    ["and others' classes say the opposite", LLAMA, "model.layers.0.self_attn.q_proj", true],
  ])("%s, whatever fan_in_fan_out is", (_, family, path, fanInFanOut) => {
    const shapes = factorShapes({ [path]: [16, 16] }, 4);
    const opened = open(family, { fan_in_fan_out: fanInFanOut }, someTensors(shapes, 22));
    const straight = product(opened.adapter, path, 6 / 4);
    const change = family === GPT2 ? transposed(straight, 16) : straight;
    expectSum(weight(opened, `${path}.weight`), values(opened.base.get(`${path}.weight`)), change);
  });

  test("and so does an embedding", () => {
    const shapes = { "transformer.wte.lora_embedding_A": [4, 20], "transformer.wte.lora_embedding_B": [16, 4] };
    const opened = open(GPT2, {}, someTensors(shapes, 6));
    const b = values(opened.adapter.get("transformer.wte.lora_embedding_B"));
    const a = values(opened.adapter.get("transformer.wte.lora_embedding_A"));
    const name = "transformer.wte.weight";
    expectSum(weight(opened, name), values(opened.base.get(name)), transposed(multiplied(b, a, 4, 6 / 4), 16));
  });
});

describe("DoRA", () => {
  test("gives each output's vector the length that the adapter says", () => {
    const path = "model.layers.0.mlp.up_proj";
    const tensors = someTensors(
      { ...factorShapes({ [path]: [16, 24] }, 4), [`${path}.lora_magnitude_vector`]: [24] },
      7,
    );
    const opened = open(LLAMA, { use_dora: true }, tensors);
    const ours = weight(opened, `${path}.weight`);
    const lengths = values(tensors.get(`${path}.lora_magnitude_vector`));
    for (let row = 0; row < 24; row++) {
      const own = ours.subarray(16 * row, 16 * row + 16);
      expect(Math.hypot(...own)).toBeCloseTo(Math.abs(lengths[row] as number), 10);
    }
  });
});

describe("tensors that an adapter holds whole", () => {
  const modules = factorShapes({ "model.layers.0.self_attn.q_proj": [16, 16] }, 4);

  test("replace the model's: saved modules and trained biases", () => {
    const whole = { "model.norm.weight": [16], "model.layers.0.self_attn.q_proj.base_layer.bias": [16] };
    const opened = open(
      QWEN2,
      { modules_to_save: ["norm"], bias: "lora_only" },
      someTensors({ ...modules, ...whole }, 8),
    );
    expect(weight(opened, "model.norm.weight")).toEqual(values(opened.adapter.get("model.norm.weight")));
    const bias = values(opened.adapter.get("model.layers.0.self_attn.q_proj.base_layer.bias"));
    expect(weight(opened, "model.layers.0.self_attn.q_proj.bias")).toEqual(bias);
  });

  test("a low-rank layer's own bias is added, scaled", () => {
    const own = { "model.layers.0.self_attn.q_proj.lora_B.bias": [16] };
    const opened = open(QWEN2, { lora_bias: true }, someTensors({ ...modules, ...own }, 9));
    const change = values(opened.adapter.get("model.layers.0.self_attn.q_proj.lora_B.bias")).map((x) => 1.5 * x);
    const name = "model.layers.0.self_attn.q_proj.bias";
    expectSum(weight(opened, name), values(opened.base.get(name)), change);
  });

  test("embeddings with more rows make the vocabulary larger, and bring their tokenizer", () => {
    const folder = join(root, String(folders));
    const shapes = { ...modules, "model.embed_tokens.weight": [23, 16] };
    writeAdapter(join(folder, "adapter"), {}, new Map());
    writeFileSync(join(folder, "adapter", "tokenizer.json"), "{}");
    const { model } = open(QWEN2, { modules_to_save: ["embed_tokens"] }, someTensors(shapes, 10));
    expect(model?.config.vocab_size).toBe(23);
    expect(model?.tensors.get("model.embed_tokens.weight")?.shape).toEqual([23, 16]);
    expect(model?.sideFilePaths?.get("tokenizer.json")).toBe(join(folder, "adapter", "tokenizer.json"));
  });

  test("rows and factors of new tokens are those of the larger embedding", () => {
    const shapes = {
      ...modules,
      "model.embed_tokens.token_adapter.base_layer.weight": [23, 16],
      "model.embed_tokens.token_adapter.trainable_tokens_delta": [2, 16],
      "lm_head.base_layer.weight": [23, 16],
      ...factorShapes({ lm_head: [16, 23] }, 4),
    };
    const config = { trainable_token_indices: [20, 22] };
    const opened = open(LLAMA, config, someTensors(shapes, 23));
    const of = (name: string) => values(opened.adapter.get(name));
    const expected = of("model.embed_tokens.token_adapter.base_layer.weight");
    const rows = of("model.embed_tokens.token_adapter.trainable_tokens_delta");
    expected.set(rows.subarray(0, 16), 20 * 16);
    expected.set(rows.subarray(16), 22 * 16);
    expect(weight(opened, "model.embed_tokens.weight")).toEqual(expected);
    const change = product(opened.adapter, "lm_head", 6 / 4);
    expectSum(weight(opened, "lm_head.weight"), of("lm_head.base_layer.weight"), change);
    expect(opened.model?.config.vocab_size).toBe(23);
  });

  test("rows of an embedding replace the model's rows", () => {
    const rows = { "model.embed_tokens.token_adapter.trainable_tokens_delta": [2, 16] };
    const opened = open(LLAMA, { trainable_token_indices: [3, 17] }, someTensors({ ...modules, ...rows }, 11));
    const ours = weight(opened, "model.embed_tokens.weight");
    const trained = values(opened.adapter.get("model.embed_tokens.token_adapter.trainable_tokens_delta"));
    const base = values(opened.base.get("model.embed_tokens.weight"));
    expect(ours.subarray(48, 64)).toEqual(trained.subarray(0, 16));
    expect(ours.subarray(17 * 16, 18 * 16)).toEqual(trained.subarray(16));
    expect(ours.subarray(0, 48)).toEqual(base.subarray(0, 48));
  });
});

describe("a tied head", () => {
  test("becomes a tensor of its own where the adapter changes it alone: the embedding stays", () => {
    const opened = open(
      QWEN2,
      { target_modules: ["lm_head"] },
      someTensors(factorShapes({ lm_head: [16, 20] }, 4), 12),
    );
    const embedding = values(opened.base.get("model.embed_tokens.weight"));
    expectSum(weight(opened, "lm_head.weight"), embedding, product(opened.adapter, "lm_head", 6 / 4));
    expect(weight(opened, "model.embed_tokens.weight")).toEqual(embedding);
  });

  test("stays as it is in the base where the embedding alone was trained as a whole", () => {
    const opened = open(
      QWEN2,
      { modules_to_save: ["embed_tokens"] },
      someTensors({ "model.embed_tokens.weight": [20, 16] }, 19),
    );
    const [trained, base] = [opened.adapter, opened.base].map((all) => values(all.get("model.embed_tokens.weight")));
    expect(weight(opened, "model.embed_tokens.weight")).toEqual(trained as Float64Array);
    expect(weight(opened, "lm_head.weight")).toEqual(base as Float64Array);
    expect(opened.model?.config.tie_word_embeddings).toBe(false);
  });

  test("may have rows of its own, and then stands by itself", () => {
    const rows = {
      "model.embed_tokens.token_adapter.trainable_tokens_delta": [2, 16],
      "lm_head.token_adapter.trainable_tokens_delta": [1, 16],
    };
    const indices = { embed_tokens: [3, 17], lm_head: [5] };
    const opened = open(QWEN2, { trainable_token_indices: indices }, someTensors(rows, 20));
    const base = values(opened.base.get("model.embed_tokens.weight"));
    const [embedding, head] = ["model.embed_tokens", "lm_head"].map((path) => weight(opened, `${path}.weight`));
    const own = values(opened.adapter.get("lm_head.token_adapter.trainable_tokens_delta"));
    expect(head).toEqual(Float64Array.from(base, (x, i) => (Math.floor(i / 16) === 5 ? (own[i % 16] as number) : x)));
    expect(embedding?.subarray(5 * 16, 6 * 16)).toEqual(base.subarray(5 * 16, 6 * 16));
    expect(embedding?.subarray(3 * 16, 4 * 16)).not.toEqual(base.subarray(3 * 16, 4 * 16));
  });

  test("follows, though both have factors or rows, where the adapter ties them", () => {
    const shapes = {
      ...factorShapes({ lm_head: [16, 20] }, 4),
      "model.embed_tokens.lora_embedding_A": [4, 20],
      "model.embed_tokens.lora_embedding_B": [16, 4],
    };
    const config = { ensure_weight_tying: true, target_modules: ["embed_tokens"] };
    const { model, report } = open(QWEN2, config, someTensors(shapes, 21));
    expect(model?.tensors.has("lm_head.weight")).toBe(false);
    expect(report.warnings).toEqual([]);
  });

  test("goes on following where the adapter says so, though it holds both", () => {
    const shapes = { "model.embed_tokens.weight": [20, 16], "lm_head.weight": [20, 16] };
    const { model } = open(QWEN2, { ensure_weight_tying: true }, someTensors(shapes, 13));
    expect(model?.tensors.has("lm_head.weight")).toBe(false);
  });
});

describe("fused layers", () => {
  const fused: Family = {
    ...LLAMA,
    shapes: Object.fromEntries(
      Object.entries(LLAMA.shapes).flatMap(([name, shape]): [string, readonly number[]][] => {
        if (/(k|v|up)_proj/.test(name)) return [];
        if (name.includes("q_proj")) return [[name.replace("q_proj", "qkv_proj"), [32, 16]]];
        if (name.includes("gate_proj")) return [[name.replace("gate_proj", "gate_up_proj"), [48, 16]]];
        return [[name, shape]];
      }),
    ),
  };

  test("apart in the adapter, one in the model: each part changes its rows", () => {
    const of = "model.layers.0.self_attn.";
    const shapes = factorShapes(
      { [`${of}q_proj`]: [16, 16], [`${of}v_proj`]: [16, 8], "model.layers.0.mlp.up_proj": [16, 24] },
      4,
    );
    const opened = open(fused, {}, someTensors(shapes, 14));
    const change = new Float64Array(32 * 16);
    change.set(product(opened.adapter, `${of}q_proj`, 1.5));
    change.set(product(opened.adapter, `${of}v_proj`, 1.5), 24 * 16);
    expectSum(weight(opened, `${of}qkv_proj.weight`), values(opened.base.get(`${of}qkv_proj.weight`)), change);
    const up = new Float64Array(48 * 16);
    up.set(product(opened.adapter, "model.layers.0.mlp.up_proj", 1.5), 24 * 16);
    const name = "model.layers.0.mlp.gate_up_proj.weight";
    expectSum(weight(opened, name), values(opened.base.get(name)), up);
  });

  test("one in the adapter, apart in the model: each part takes its rows", () => {
    const of = "model.layers.0.self_attn.";
    const opened = open(LLAMA, {}, someTensors(factorShapes({ [`${of}qkv_proj`]: [16, 32] }, 4), 15));
    const all = product(opened.adapter, `${of}qkv_proj`, 1.5);
    for (const [part, from, to] of [
      ["q", 0, 16],
      ["k", 16, 24],
      ["v", 24, 32],
    ] as const) {
      const name = `${of}${part}_proj.weight`;
      expectSum(weight(opened, name), values(opened.base.get(name)), all.subarray(16 * from, 16 * to));
    }
  });
});

describe("experts", () => {
  const EXPERTS = 3;
  const attention = Object.entries(LLAMA.shapes).filter(([name]) => !name.includes(".mlp."));
  const config = {
    ...LLAMA.config,
    architectures: ["MixtralForCausalLM"],
    model_type: "mixtral",
    num_local_experts: EXPERTS,
  };
  const packed: Family = {
    config,
    shapes: Object.fromEntries([
      ...attention,
      ...[0, 1].flatMap((layer): [string, number[]][] => [
        [`model.layers.${layer}.mlp.gate.weight`, [EXPERTS, 16]],
        [`model.layers.${layer}.mlp.experts.gate_up_proj`, [EXPERTS, 48, 16]],
        [`model.layers.${layer}.mlp.experts.down_proj`, [EXPERTS, 16, 24]],
      ]),
    ]),
  };
  const separate: Family = {
    config,
    shapes: Object.fromEntries([
      ...attention,
      ...[0, 1].flatMap((layer): [string, number[]][] => [
        [`model.layers.${layer}.block_sparse_moe.gate.weight`, [EXPERTS, 16]],
        ...[0, 1, 2].flatMap((expert): [string, number[]][] => [
          [`model.layers.${layer}.block_sparse_moe.experts.${expert}.w1.weight`, [24, 16]],
          [`model.layers.${layer}.block_sparse_moe.experts.${expert}.w2.weight`, [16, 24]],
          [`model.layers.${layer}.block_sparse_moe.experts.${expert}.w3.weight`, [24, 16]],
        ]),
      ]),
    ]),
  };
  /** PEFT's layout for parameters of three dimensions: A [experts x rank, inputs], B [outputs, rank x experts]. */
  const factors = someTensors(
    {
      "model.layers.0.mlp.experts.base_layer.lora_A.weight": [EXPERTS * 2, 16],
      "model.layers.0.mlp.experts.base_layer.lora_B.weight": [48, 2 * EXPERTS],
      "model.layers.0.mlp.experts.lora_A.weight": [EXPERTS * 2, 24],
      "model.layers.0.mlp.experts.lora_B.weight": [16, 2 * EXPERTS],
    },
    16,
  );
  const asked = { r: 2, target_modules: [], target_parameters: ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"] };

  /** sum over r of B[o, r, e] A[e, r, i]: PEFT's einsum, for one expert. */
  function ofExpert(path: string, expert: number): Float64Array {
    const [a, b] = [values(factors.get(`${path}.lora_A.weight`)), values(factors.get(`${path}.lora_B.weight`))];
    const inputs = a.length / (2 * EXPERTS);
    const outputs = b.length / (2 * EXPERTS);
    return Float64Array.from({ length: outputs * inputs }, (_, at) => {
      const [o, i] = [Math.floor(at / inputs), at % inputs];
      let sum = 0;
      for (let r = 0; r < 2; r++) {
        sum += (b[o * 2 * EXPERTS + r * EXPERTS + expert] as number) * (a[(expert * 2 + r) * inputs + i] as number);
      }
      return 3 * sum;
    });
  }

  const INNER_PATH = "model.layers.0.mlp.experts.base_layer";
  const OUTER_PATH = "model.layers.0.mlp.experts";

  test("packed in adapter and model", () => {
    const opened = open(packed, asked, factors);
    for (const [name, path] of [
      ["gate_up_proj", INNER_PATH],
      ["down_proj", OUTER_PATH],
    ] as const) {
      const change = [0, 1, 2].flatMap((expert) => [...ofExpert(path, expert)]);
      const full = `model.layers.0.mlp.experts.${name}`;
      expectSum(weight(opened, full), values(opened.base.get(full)), change);
    }
  });

  test("by patterns of the parameters' names, and routers beside them", () => {
    const router = factorShapes({ "model.layers.1.mlp.gate": [16, EXPERTS] }, 3);
    const config = {
      r: 7,
      target_modules: ["q_proj"],
      target_parameters: [...asked.target_parameters, "mlp.gate.weight"],
      rank_pattern: { "experts.(gate_up|down)_proj": 2, "mlp.gate.weight": 3 },
      alpha_pattern: { "experts.down_proj": 5 },
    };
    const opened = open(packed, config, new Map([...factors, ...someTensors(router, 24)]));
    for (const [name, path, scale] of [
      ["gate_up_proj", INNER_PATH, 6 / 2],
      ["down_proj", OUTER_PATH, 5 / 2],
    ] as const) {
      const change = [0, 1, 2].flatMap((expert) => [...ofExpert(path, expert).map((x) => (x * scale) / 3)]);
      const full = `model.layers.0.mlp.experts.${name}`;
      expectSum(weight(opened, full), values(opened.base.get(full)), change);
    }
    const gate = "model.layers.1.mlp.gate";
    const change = product(opened.adapter, gate, 6 / 3);
    expectSum(weight(opened, `${gate}.weight`), values(opened.base.get(`${gate}.weight`)), change);
    expect(opened.report.warnings.map(({ code }) => code)).toEqual(["adapter-partial"]);
  });

  test("packed in the adapter, each in its own tensors in the model", () => {
    const opened = open(separate, asked, factors);
    for (let expert = 0; expert < EXPERTS; expert++) {
      const both = ofExpert(INNER_PATH, expert);
      for (const [name, change] of [
        ["w1", both.subarray(0, 24 * 16)],
        ["w3", both.subarray(24 * 16)],
        ["w2", ofExpert(OUTER_PATH, expert)],
      ] as const) {
        const full = `model.layers.0.block_sparse_moe.experts.${expert}.${name}.weight`;
        expectSum(weight(opened, full), values(opened.base.get(full)), change);
      }
    }
  });

  test("each on its own in the adapter, packed in the model", () => {
    const path = "model.layers.0.block_sparse_moe.experts.1.w3";
    const opened = open(packed, {}, someTensors(factorShapes({ [path]: [16, 24] }, 4), 17));
    const name = "model.layers.0.mlp.experts.gate_up_proj";
    const change = new Float64Array(EXPERTS * 48 * 16);
    change.set(product(opened.adapter, path, 1.5), (48 + 24) * 16);
    expectSum(weight(opened, name), values(opened.base.get(name)), change);
  });
});

describe("an adapter that does not fit is refused, with what is wrong", () => {
  const fit = factorShapes({ "model.layers.0.self_attn.q_proj": [16, 16] }, 4);
  const cases: [string, Record<string, unknown>, Record<string, readonly number[]>, RegExp][] = [
    [
      "modules of another base",
      {},
      { ...fit, ...factorShapes({ "model.layers.7.self_attn.q_proj": [16, 16] }, 4) },
      /does not have: model\.layers\.7/,
    ],
    [
      "shapes of another base",
      {},
      factorShapes({ "model.layers.0.self_attn.q_proj": [32, 32] }, 4),
      /B A is \[32, 32\].*\[16, 16\]/,
    ],
    ["a missing half", {}, { "model.layers.0.self_attn.q_proj.lora_A.weight": [4, 16] }, /lora_A and no lora_B/],
    ["another type of adapter", { peft_type: "LOHA" }, fit, /type "LOHA"/],
    ["rank zero", { r: 0 }, fit, /r is 0/],
    ["a rank that is not the tensors'", { r: 8 }, fit, /has rank 4, adapter_config.json says 8/],
    [
      "a whole linear layer of another size",
      { modules_to_save: ["q_proj"] },
      { ...fit, "model.layers.1.self_attn.q_proj.weight": [20, 16] },
      /q_proj\.weight \[20, 16\], and the model's tensor is \[16, 16\]/,
    ],
    [
      "an embedding with more rows, and a head without",
      {},
      { ...fit, "model.embed_tokens.weight": [23, 16] },
      /embed_tokens\.weight has 23 rows, and lm_head\.weight has 20/,
    ],
    [
      "a bias for a layer that has none",
      { lora_bias: true },
      { ...fit, "model.layers.0.self_attn.q_proj.lora_B.bias": [16] },
      /adds biases \(lora_bias\) to layers that have none: model\.layers\.0\.self_attn\.q_proj/,
    ],
    ["a base that was changed beforehand", { init_lora_weights: "pissa_niter_4" }, fit, /fits a changed base/],
    ["a variant that cannot be merged", { alora_invocation_tokens: [1, 2] }, fit, /alora_invocation_tokens/],
    ["nothing to apply", { target_modules: ["k_proj"] }, fit, /changes nothing/],
  ];
  test.each(cases)("%s", (_, config, shapes, message) => {
    const { model, report } = open(LLAMA, config, someTensors(shapes, 18));
    expect(model).toBeUndefined();
    expect(report.errors.map((problem) => problem.message).join("\n")).toMatch(message);
    expect(report.errors[0]?.model).toMatch(/base\+.*adapter$/);
  });

  test("modules that the configuration names are missing: they stay, with a warning", () => {
    const config = { target_modules: ["q_proj", "k_proj"], layers_to_transform: [0], modules_to_save: ["lm_head"] };
    const { model, report } = open(LLAMA, config, someTensors(fit, 26));
    expect(model).toBeDefined();
    expect(report.warnings.map(({ code, message }) => [code, message.slice(message.indexOf(": they"))])).toEqual([
      ["adapter-partial", ": they stay as in the base: model.layers.0.self_attn.k_proj, lm_head"],
    ]);
  });

  test("a folder without an adapter", () => {
    const folder = join(root, "whole");
    writeModel(folder, LLAMA.config, someTensors(LLAMA.shapes, 1));
    const ref = parseModelRef(`${folder}+${folder}`);
    const report = new Report();
    expect(openReference({ ref: ref as never }, { cacheDir: undefined }, report)).toBeUndefined();
    expect(report.errors[0]?.message).toMatch(/there is no adapter in .*: no adapter_config\.json/);
  });
});
