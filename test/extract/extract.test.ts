import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Report, SinterError } from "../../src/errors.ts";
import { type ExtractRequest, prepareExtraction, runExtraction } from "../../src/extract/extract.ts";
import { prepareReduction, runReduction } from "../../src/extract/reduce.ts";
import type { ExtractOptions } from "../../src/extract/types.ts";
import { openReference } from "../../src/lora/open.ts";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { native } from "../../src/native.ts";
import { silentProgress } from "../../src/run/progress.ts";
import { readView } from "../conformance/truth.ts";
import { type Family, factorShapes, GPT2, llamaLike, someTensors, writeAdapter, writeModel } from "../lora/peft.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { patched } from "../oracle/patch.ts";
import { readSafetensors, type StoredTensor } from "../support/safetensors.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-extract-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const OPTIONS: ExtractOptions = {
  maxRank: 64,
  energy: undefined,
  svEpsilon: 0,
  distributeScale: true,
  embedLora: false,
  saveModules: [],
  exclude: [],
  include: [],
  skipUndecomposable: false,
  biases: "whole",
  dtype: undefined,
  seed: 0,
};

let folders = 0;

/** A base and a fine-tune; `changed` says which tensors differ. */
function pair(family: Family, changed: (name: string) => boolean = () => true, dtype: FloatDtype = "F32"): string {
  const folder = join(root, String(folders++));
  const base = someTensors(family.shapes, 1, dtype);
  const change = someTensors(family.shapes, 2, "F64", 0.05);
  const tuned = new Map(
    [...base].map(([name, tensor]): [string, StoredTensor] => {
      if (!changed(name)) return [name, tensor];
      const other = valuesOf(change.get(name));
      return [
        name,
        {
          ...tensor,
          bytes: encode(
            valuesOf(tensor).map((x, i) => x + (other[i] as number)),
            dtype,
          ),
        },
      ];
    }),
  );
  writeModel(join(folder, "base"), family.config, base);
  writeModel(join(folder, "tuned"), family.config, tuned);
  return folder;
}

function valuesOf(tensor: StoredTensor | undefined): Float64Array {
  if (tensor === undefined) throw new Error("the tensor is not there");
  return decode(tensor.bytes, tensor.dtype as FloatDtype);
}

function request(folder: string, options: Partial<ExtractOptions>): ExtractRequest {
  return {
    model: join(folder, "tuned"),
    baseModel: join(folder, "base"),
    out: join(folder, "adapter"),
    options: { ...OPTIONS, ...options },
    cacheDir: join(root, "cache"),
    architectures: undefined,
    run: { force: true, nan: "warn", sync: false },
    safeSerialization: true,
    writeModelCard: true,
    command: "sinter lora extract",
  };
}

async function extract(folder: string, options: Partial<ExtractOptions> = {}) {
  const asked = request(folder, options);
  const work = { addon: native(), signal: new AbortController().signal, events: silentProgress };
  return await runExtraction(asked, prepareExtraction(asked, new Report()), work);
}

const config = (folder: string) => JSON.parse(readFileSync(join(folder, "adapter", "adapter_config.json"), "utf8"));
const adapterNames = (folder: string) => [
  ...readSafetensors(join(folder, "adapter", "adapter_model.safetensors")).tensors.keys(),
];

/** Every tensor of base+adapter, against the fine-tune's. */
function expectTuned(folder: string, tolerance: number): void {
  const report = new Report();
  const ref = { model: { path: join(folder, "base") }, lora: { path: join(folder, "adapter") } };
  const model = openReference({ ref }, { cacheDir: undefined }, report);
  expect(report.errors).toEqual([]);
  for (const [name, tensor] of readSafetensors(join(folder, "tuned", "model.safetensors")).tensors) {
    const view = model?.tensors.get(name);
    if (view === undefined) throw new Error(`there is no ${name}`);
    const ours = patched(decode(readView(view), view.dtype as FloatDtype), view.patches);
    const wanted = valuesOf(tensor);
    const worst = ours.reduce((most, x, i) => Math.max(most, Math.abs(x - (wanted[i] as number))), 0);
    expect([name, worst < tolerance]).toEqual([name, true]);
  }
}

const EXPERTS: Family = {
  config: {
    ...llamaLike("mixtral", "MixtralForCausalLM").config,
    num_local_experts: 2,
  },
  shapes: {
    ...Object.fromEntries(
      Object.entries(llamaLike("mixtral", "MixtralForCausalLM").shapes).filter(([name]) => !name.includes(".mlp.")),
    ),
    ...Object.fromEntries(
      [0, 1].flatMap((layer): [string, number[]][] => [
        [`model.layers.${layer}.block_sparse_moe.gate.weight`, [2, 16]],
        ...[0, 1].flatMap((expert): [string, number[]][] => [
          [`model.layers.${layer}.block_sparse_moe.experts.${expert}.w1.weight`, [24, 16]],
          [`model.layers.${layer}.block_sparse_moe.experts.${expert}.w2.weight`, [16, 24]],
          [`model.layers.${layer}.block_sparse_moe.experts.${expert}.w3.weight`, [24, 16]],
        ]),
      ]),
    ),
  },
};

/** The same with each layer's experts in one tensor for gates and ups, and one for downs. */
const PACKED: Family = {
  config: EXPERTS.config,
  shapes: {
    ...Object.fromEntries(
      Object.entries(EXPERTS.shapes)
        .filter(([name]) => !name.includes(".experts."))
        .map(([name, shape]) => [name.replace("block_sparse_moe", "mlp"), shape]),
    ),
    ...Object.fromEntries(
      [0, 1].flatMap((layer): [string, number[]][] => [
        [`model.layers.${layer}.mlp.experts.gate_up_proj`, [2, 48, 16]],
        [`model.layers.${layer}.mlp.experts.down_proj`, [2, 16, 24]],
      ]),
    ),
  },
};

const phi3 = llamaLike("phi3", "Phi3ForCausalLM");
const PHI3: Family = {
  config: { ...phi3.config, pad_token_id: 0 },
  shapes: Object.fromEntries(
    Object.entries(phi3.shapes).flatMap(([name, shape]): [string, readonly number[]][] => {
      if (/(k|v|up)_proj/.test(name)) return [];
      if (name.includes("q_proj")) return [[name.replace("q_proj", "qkv_proj"), [32, 16]]];
      if (name.includes("gate_proj")) return [[name.replace("gate_proj", "gate_up_proj"), [48, 16]]];
      return [[name, shape]];
    }),
  ),
};

describe("an adapter of full rank, applied to the base, gives back the fine-tune", () => {
  test.each([
    ["phi3, whose layers are fused", PHI3],
    ["mixtral with packed experts", PACKED],
    ["llama", llamaLike("llama", "LlamaForCausalLM")],
    ["qwen2, with biases and a tied head", llamaLike("qwen2", "Qwen2ForCausalLM", { tied: true, biases: true })],
    ["gemma2", llamaLike("gemma2", "Gemma2ForCausalLM", { tied: true, norms: 4 })],
    ["gpt2", GPT2],
    ["mixtral", EXPERTS],
  ])("%s", async (_, family) => {
    const folder = pair(family);
    await extract(folder);
    expectTuned(folder, 2e-6);
  });

  test("embeddings and heads decomposed, too", async () => {
    const folder = pair(llamaLike("llama", "LlamaForCausalLM"));
    await extract(folder, { embedLora: true });
    expect(adapterNames(folder)).toContain("base_model.model.model.embed_tokens.lora_embedding_A");
    expectTuned(folder, 2e-6);
  });

  test("ranks by energy, experts among them", async () => {
    for (const family of [EXPERTS, PACKED]) {
      const folder = pair(family);
      const { summary } = await extract(folder, { energy: 1 - 1e-12 });
      expectTuned(folder, 1e-5);
      expect(summary.energy_kept).toBeGreaterThan(1 - 1e-9);
    }
  });

  test("a base that has its experts apart, and a fine-tune that packs them", async () => {
    const [folder, other] = [pair(PACKED), pair(EXPERTS)];
    const asked = { ...request(folder, {}), baseModel: join(other, "base") };
    const work = { addon: native(), signal: new AbortController().signal, events: silentProgress };
    await runExtraction(asked, prepareExtraction(asked, new Report()), work);
    const names = adapterNames(folder);
    expect(names.filter((name) => name.includes("experts.1."))).toHaveLength(2 * 3 * 2);
  });

  test("biases as differences", async () => {
    const folder = pair(llamaLike("qwen2", "Qwen2ForCausalLM", { biases: true }));
    await extract(folder, { biases: "difference" });
    expect(adapterNames(folder)).toContain("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias");
    expectTuned(folder, 2e-6);
  });

  test("in bfloat16, to its rounding", async () => {
    const folder = pair(llamaLike("llama", "LlamaForCausalLM"), () => true, "BF16");
    await extract(folder);
    expectTuned(folder, 0.01);
  });
});

describe("what an adapter holds", () => {
  const llama = llamaLike("llama", "LlamaForCausalLM");

  test("norms, embeddings and the head are saved whole, and modules_to_save says so", async () => {
    const folder = pair(llama);
    const { summary } = await extract(folder, { maxRank: 3 });
    expect(config(folder)).toMatchObject({ r: 3, lora_alpha: 3, peft_type: "LORA", rank_pattern: {} });
    expect(config(folder).modules_to_save.toSorted()).toEqual([
      "embed_tokens",
      "input_layernorm",
      "lm_head",
      "norm",
      "post_attention_layernorm",
    ]);
    expect(config(folder).target_modules).toEqual([
      "down_proj",
      "gate_proj",
      "k_proj",
      "o_proj",
      "q_proj",
      "up_proj",
      "v_proj",
    ]);
    expect(summary.modules).toHaveLength(14);
    expect(summary.energy_kept).toBeGreaterThan(0.3);
    expect(existsSync(join(folder, "adapter", "README.md"))).toBe(true);
    expect(readFileSync(join(folder, "adapter", "sinter_manifest.json"), "utf8")).toContain(
      '"varies_by_machine": "low-rank factors',
    );
  });

  test("only what regular expressions leave, and whole what --save-module names", async () => {
    const folder = pair(llama);
    await extract(folder, {
      exclude: [/mlp/],
      include: [/layers\.1/],
      saveModules: ["o_proj"],
      skipUndecomposable: true,
    });
    const names = adapterNames(folder);
    expect(names.filter((name) => /mlp|layers\.0.*(q|k|v)_proj|norm/.test(name))).toEqual([]);
    expect(names).toContain("base_model.model.model.layers.0.self_attn.o_proj.weight");
    expect(names).toContain("base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight");
  });

  test("ranks that the energy decides, written as rank_pattern", async () => {
    const folder = pair(llama);
    const { summary } = await extract(folder, { energy: 0.8 });
    const { r, rank_pattern: ranks, alpha_pattern: alphas } = config(folder);
    expect(alphas).toEqual(ranks);
    expect(summary.rank.most).toBe(r);
    for (const { module, rank, energy_kept } of summary.modules) {
      expect(energy_kept).toBeGreaterThanOrEqual(0.8);
      expect(ranks[module] ?? ranks[module.slice(module.lastIndexOf(".") + 1)] ?? r).toBe(rank);
    }
    expect(summary.rank.least).toBeLessThan(8);
  });

  test("modules as the class has them: fused layers, packed experts and their routers", async () => {
    const fused = pair(PHI3);
    await extract(fused, { maxRank: 2 });
    expect(config(fused).target_modules).toEqual(["down_proj", "gate_up_proj", "o_proj", "qkv_proj"]);
    const packed = pair(PACKED);
    await extract(packed, { maxRank: 3 });
    expect(config(packed)).toMatchObject({
      target_modules: ["k_proj", "o_proj", "q_proj", "v_proj"],
      target_parameters: ["mlp.experts.down_proj", "mlp.experts.gate_up_proj", "mlp.gate.weight"],
      rank_pattern: { gate: 2, "gate.weight": 2 },
    });
    const { tensors } = readSafetensors(join(packed, "adapter", "adapter_model.safetensors"));
    const path = "base_model.model.model.layers.0.mlp.experts";
    expect(
      ["base_layer.lora_A", "base_layer.lora_B", "lora_A", "lora_B"].map(
        (name) => tensors.get(`${path}.${name}.weight`)?.shape,
      ),
    ).toEqual([
      [2 * 3, 16],
      [48, 3 * 2],
      [2 * 3, 24],
      [16, 3 * 2],
    ]);
  });

  test("experts of their own with one rank, the usual one", async () => {
    const folder = pair(EXPERTS);
    await extract(folder, { energy: 0.7 });
    const { tensors } = readSafetensors(join(folder, "adapter", "adapter_model.safetensors"));
    const ranks = [...tensors].filter(([name]) => /experts.*lora_A/.test(name)).map(([, { shape }]) => shape[0]);
    expect(new Set(ranks)).toEqual(new Set([config(folder).r]));
  });

  test("a head whole that the fine-tune untied", async () => {
    const tied = pair(llamaLike("qwen2", "Qwen2ForCausalLM", { tied: true }));
    const untied = pair(llamaLike("qwen2", "Qwen2ForCausalLM"));
    const asked = { ...request(untied, { embedLora: true }), baseModel: join(tied, "base") };
    const work = { addon: native(), signal: new AbortController().signal, events: silentProgress };
    await runExtraction(asked, prepareExtraction(asked, new Report()), work);
    expect(adapterNames(untied).filter((name) => name.includes("lm_head"))).toEqual([
      "base_model.model.lm_head.weight",
    ]);
    expect(config(untied).modules_to_save).toContain("lm_head");
    expect(config(untied).ensure_weight_tying).toBeUndefined();
  });

  test("what is saved whole, where nothing else differs", async () => {
    for (const changed of ["model.embed_tokens.weight", "model.layers.1.input_layernorm.weight"]) {
      const folder = pair(llama, (name) => name === changed);
      const { summary } = await extract(folder, { maxRank: 1 });
      expect([summary.modules.length, summary.rank]).toEqual([0, { least: 0, most: 0 }]);
      expectTuned(folder, 1e-9);
    }
  });

  test("of a tied head that is decomposed only the embedding's factors", async () => {
    const folder = pair(llamaLike("qwen2", "Qwen2ForCausalLM", { tied: true }));
    await extract(folder, { embedLora: true });
    expect(adapterNames(folder).filter((name) => name.includes("lm_head"))).toEqual([]);
    expect(config(folder).ensure_weight_tying).toBeUndefined();
    expectTuned(folder, 2e-6);
  });

  test("factors of zeros for a module that is as in the base", async () => {
    const folder = pair(llama, (name) => !name.includes("layers.0"));
    const { summary } = await extract(folder, { maxRank: 2, svEpsilon: 1e-4 });
    expect(summary.unchanged).toBe(7);
    expect(config(folder).rank_pattern["model.layers.0.mlp.up_proj"]).toBe(1);
    expect(
      openReference(
        { ref: { model: { path: join(folder, "base") }, lora: { path: join(folder, "adapter") } } },
        { cacheDir: undefined },
        new Report(),
      ),
    ).toBeDefined();
  });
});

describe("an extraction that cannot be", () => {
  const llama = llamaLike("llama", "LlamaForCausalLM");

  async function refusal(folder: string, options: Partial<ExtractOptions> = {}): Promise<string> {
    try {
      await extract(folder, options);
    } catch (error) {
      if (error instanceof SinterError) return error.message;
      throw error;
    }
    throw new Error("nothing was refused");
  }

  test("says that nothing differs, or nothing is left, and writes nothing", async () => {
    const folder = pair(llama, () => false);
    expect(await refusal(folder)).toMatch(/does not differ from the base in what the adapter would hold/);
    expect(await refusal(folder, { include: [/nowhere/] })).toMatch(/no module is left/);
    expect(readdirSync(folder).toSorted()).toEqual(["base", "tuned"]);
  });

  test("names the module whose difference holds a NaN", async () => {
    const folder = pair(llama);
    const tensors = readSafetensors(join(folder, "tuned", "model.safetensors")).tensors;
    const name = "model.layers.1.mlp.up_proj.weight";
    const tensor = tensors.get(name) as StoredTensor;
    const values = valuesOf(tensor);
    values[5] = Number.NaN;
    writeModel(
      join(folder, "tuned"),
      llama.config,
      new Map(tensors).set(name, { ...tensor, bytes: encode(values, "F32") }),
    );
    expect(await refusal(folder)).toMatch(/NaN or an infinity[\s\S]*model\.layers\.1\.mlp\.up_proj/);
    expect(readdirSync(folder).toSorted()).toEqual(["base", "tuned"]);
  });
});

describe("an adapter's rank is lowered", () => {
  test("to the best approximation: the same as the extraction of that rank", async () => {
    const folder = pair(llamaLike("llama", "LlamaForCausalLM"));
    await extract(folder, { maxRank: 3 });
    const direct = readSafetensors(join(folder, "adapter", "adapter_model.safetensors")).tensors;
    await extract(folder, { maxRank: 16 });
    const report = new Report();
    const prepared = prepareReduction({ path: join(folder, "adapter") }, undefined, report);
    const work = {
      addon: native(),
      run: { force: true, resume: true, nan: "warn", sync: false } as const,
      events: silentProgress,
    };
    const out = join(folder, "reduced");
    await runReduction(prepared, out, { maxRank: 3, energy: undefined }, work);
    const reduced = readSafetensors(join(out, "adapter_model.safetensors")).tensors;
    expect([...reduced.keys()].toSorted()).toEqual([...direct.keys()].toSorted());
    for (const [name, tensor] of direct) {
      const other = reduced.get(name) as StoredTensor;
      expect([name, other.shape]).toEqual([name, tensor.shape]);
      if (!name.endsWith("lora_A.weight")) continue;
      const product = (file: typeof direct) =>
        multiplied(file.get(name.replace("lora_A", "lora_B")), file.get(name), 3);
      const [ours, wanted] = [product(reduced), product(direct)];
      const worst = ours.reduce((most, x, i) => Math.max(most, Math.abs(x - (wanted[i] as number))), 0);
      expect(worst).toBeLessThan(1e-5);
    }
  });
});

test("packed experts' rank is lowered, too, expert by expert", async () => {
  const folder = pair(PACKED);
  await extract(folder, { maxRank: 16 });
  const run = { force: true, resume: true, nan: "warn", sync: false } as const;
  const work = { addon: native(), run, events: silentProgress };
  const prepared = prepareReduction({ path: join(folder, "adapter") }, undefined, new Report());
  const [fixed, free] = [join(folder, "fixed"), join(folder, "free")];
  await runReduction(prepared, fixed, { maxRank: 3, energy: undefined }, work);
  await runReduction(prepared, free, { maxRank: 16, energy: 0.7 }, work);
  await extract(folder, { maxRank: 3 });
  /** A tensor of the base with an adapter. */
  const applied = (adapter: string, name: string) => {
    const ref = { model: { path: join(folder, "base") }, lora: { path: adapter } };
    const report = new Report();
    const view = openReference({ ref }, { cacheDir: undefined }, report)?.tensors.get(name);
    expect(report.errors).toEqual([]);
    return view === undefined ? new Float64Array() : patched(decode(readView(view), "F32"), view.patches);
  };
  for (const name of ["gate_up_proj", "down_proj"].map((one) => `model.layers.1.mlp.experts.${one}`)) {
    const [ours, wanted, loose] = [fixed, join(folder, "adapter"), free].map((adapter) => applied(adapter, name));
    const tuned = valuesOf(readSafetensors(join(folder, "tuned", "model.safetensors")).tensors.get(name));
    const base = valuesOf(readSafetensors(join(folder, "base", "model.safetensors")).tensors.get(name));
    const distance = (a: Float64Array | undefined, b: Float64Array | undefined) =>
      Math.hypot(...(a ?? []).map((x, i) => x - (b?.[i] as number)));
    expect(distance(ours, wanted) / distance(tuned, base)).toBeLessThan(1e-5);
    expect((distance(loose, tuned) / distance(tuned, base)) ** 2).toBeLessThan(0.3);
  }
});

test("an adapter's biases keep what they add when its rank is lowered, whatever its scale was", async () => {
  const folder = pair(llamaLike("qwen2", "Qwen2ForCausalLM", { biases: true }));
  const path = "model.layers.0.self_attn.q_proj";
  const [copy, other] = ["model.embed_tokens.token_adapter.base_layer.weight", "model.layers.1.self_attn.k_proj"];
  const shapes = {
    ...factorShapes({ [path]: [16, 16], [other]: [16, 8] }, 4),
    [`${path}.lora_B.bias`]: [16],
    [copy]: [23, 16],
  };
  const adapter = join(folder, "adapter");
  const patterns = { target_parameters: ["k_proj.weight"], alpha_pattern: { "k_proj.weight": 2 } };
  writeAdapter(adapter, { lora_bias: true, lora_alpha: 6, ...patterns }, someTensors(shapes, 3));
  const [before] = [readSafetensors(join(adapter, "adapter_model.safetensors")).tensors];
  const prepared = prepareReduction({ path: adapter }, undefined, new Report());
  const run = { force: true, resume: true, nan: "warn", sync: false } as const;
  const out = join(folder, "reduced");
  const work = { addon: native(), run, events: silentProgress };
  await runReduction(prepared, out, { maxRank: 2, energy: undefined }, work);
  const after = readSafetensors(join(out, "adapter_model.safetensors")).tensors;
  const [own, scaled] = [before, after].map((all) => valuesOf(all?.get(`base_model.model.${path}.lora_B.bias`)));
  own?.forEach((x, i) => {
    expect(scaled?.[i]).toBeCloseTo((x * 6) / 4, 6);
  });
  expect(after.get(`base_model.model.${copy}`)?.bytes).toEqual(before?.get(`base_model.model.${copy}`)?.bytes);
  // Two of the four are kept, and the best two are no smaller than half of the change.
  const norm = (all: typeof after | undefined, rank: number, scale: number) => {
    const [b, a] = ["B", "A"].map((end) => all?.get(`base_model.model.${other}.lora_${end}.weight`));
    return scale * Math.hypot(...multiplied(b, a, rank));
  };
  const [whole, kept] = [norm(before, 4, 2 / 4), norm(after, 2, 1)];
  expect([kept <= whole * 1.0001, kept >= whole * Math.SQRT1_2]).toEqual([true, true]);
});

function multiplied(b: StoredTensor | undefined, a: StoredTensor | undefined, rank: number): Float64Array {
  const [left, right] = [valuesOf(b), valuesOf(a)];
  const columns = right.length / rank;
  return Float64Array.from({ length: (left.length / rank) * columns }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < rank; k++) {
      sum += (left[Math.floor(at / columns) * rank + k] as number) * (right[k * columns + (at % columns)] as number);
    }
    return sum;
  });
}
