import { describe, expect, test } from "bun:test";
import { sideText, tinyModel } from "../plan/models.ts";
import { elements, planned, problemsOf, recipe, trio } from "./mixtures.ts";

const qwen2 = (tiny = {}) => trio({ class: "Qwen2ForCausalLM", ...tiny });
const QWEN = "architecture: qwen\n";
const SHARED = `${QWEN}shared_experts: [{source_model: a, positive_prompts: [all], residual_scale: 0.1}]\n`;

const source = ({ inputs }: { inputs: readonly { model: string; tensor: string }[] }) =>
  inputs.map(({ model, tensor }) => `${model} ${tensor}`);

describe("weights", () => {
  test("outside the experts are the base's, those of experts the feed-forward weights of their models", () => {
    const { op, names } = planned(recipe(), trio());
    expect(op("model.layers.1.self_attn.q_proj.weight")).toMatchObject({ kernel: "copy", dtype: "BF16" });
    expect(source(op("model.layers.1.self_attn.q_proj.weight"))).toEqual([
      "base model.layers.1.self_attn.q_proj.weight",
    ]);
    const moe = "model.layers.1.block_sparse_moe";
    expect(source(op(`${moe}.experts.0.w1.weight`))).toEqual(["a model.layers.1.mlp.gate_proj.weight"]);
    expect(source(op(`${moe}.experts.1.w2.weight`))).toEqual(["b model.layers.1.mlp.down_proj.weight"]);
    expect(source(op(`${moe}.experts.1.w3.weight`))).toEqual(["b model.layers.1.mlp.up_proj.weight"]);
    expect(op(`${moe}.gate.weight`)).toMatchObject({ kernel: "literal", shape: [2, 4], inputs: [] });
    expect(names.filter((name) => name.includes(".mlp."))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });

  test("are as many elements as base and experts have, and the routers", () => {
    const models = trio();
    const dense = elements({ plan: planned(recipe(), models).plan });
    // Two layers of twelve attention and norm tensors, embedding, head and norm; two experts of three matrices; routers.
    expect(dense).toBe(2 * (4 * 16 + 2 * 4) + 2 * 40 + 4 + 2 * (2 * 3 * 16) + 2 * 8);
  });

  test("of an expert in another dtype are converted, and copied where the dtype is the output's", () => {
    const [base, a] = trio();
    const models = [base, a, tinyModel("b", { dtype: "F32" })] as Parameters<typeof planned>[1];
    const expert = (index: number) => `model.layers.0.block_sparse_moe.experts.${index}.w1.weight`;
    const { op } = planned(recipe(), models);
    expect(op(expert(0))).toMatchObject({ kernel: "copy", dtype: "BF16" });
    expect(op(expert(1))).toMatchObject({ kernel: "linear", params: [1], dtype: "BF16" });
    const wide = planned(recipe("dtype: float32\n"), models);
    expect([expert(0), expert(1)].map((name) => wide.op(name).kernel)).toEqual(["linear", "copy"]);
    expect(wide.op("model.norm.weight").dtype).toBe("F32");
    expect(wide.config.torch_dtype).toBe("float32");
  });

  test("have config.json's dtype where the configuration names none, else the embedding's", () => {
    const models = trio({ dtype: "F32", config: { torch_dtype: "float16" } });
    expect(planned(recipe(), models).op("model.norm.weight").dtype).toBe("F16");
    const silent = trio({ dtype: "F32", config: { torch_dtype: undefined } });
    expect(planned(recipe(), silent).op("model.norm.weight").dtype).toBe("F32");
  });

  test("are scaled where they write to the residual stream, and only there", () => {
    const scaled = recipe().replace('["stories"]', '["stories"]\n    residual_scale: 0.5');
    const { op } = planned(scaled, trio());
    const expert = (index: number, part: string) =>
      op(`model.layers.0.block_sparse_moe.experts.${index}.${part}.weight`);
    expect(expert(1, "w2")).toMatchObject({ kernel: "linear", params: [0.5] });
    expect([expert(1, "w1"), expert(1, "w3"), expert(0, "w2")].map(({ kernel }) => kernel)).toEqual([
      "copy",
      "copy",
      "copy",
    ]);
  });

  test("keep their names whatever prefix the base spells its own with", () => {
    const bare = trio().map((model) => ({
      ...model,
      tensors: new Map([...model.tensors].map(([name, view]) => [name.replace(/^model\./, ""), view])),
    }));
    const { names, op } = planned(recipe(), bare);
    expect(names).toEqual(planned(recipe(), trio()).names);
    expect(source(op("model.norm.weight"))).toEqual(["base norm.weight"]);
  });
});

describe("noise", () => {
  const noisy = recipe().replace('["stories"]', '["stories"]\n    noise_scale: 0.25\n    residual_scale: 0.5');

  test("is added to all weights of its expert before they are scaled", () => {
    const { op } = planned(noisy, trio());
    const expert = (index: number, part: string) =>
      op(`model.layers.0.block_sparse_moe.experts.${index}.${part}.weight`);
    expect(expert(1, "w1")).toMatchObject({ kernel: "assemble", params: [1, 0.25] });
    expect(expert(1, "w2")).toMatchObject({ kernel: "assemble", params: [0.5, 0.25] });
    expect(expert(0, "w1").kernel).toBe("copy");
  });

  test("is drawn alike in both layouts, and for each weight apart", () => {
    const apart = planned(noisy, trio());
    const whole = planned(noisy, trio(), { expertLayout: "packed" }).op("model.layers.0.mlp.experts.gate_up_proj");
    const own = ["w1", "w3"].map((part) => apart.op(`model.layers.0.block_sparse_moe.experts.1.${part}.weight`));
    expect(own.map(({ randomAs }) => randomAs)).toEqual([whole.tensor, whole.tensor]);
    expect(own.map(({ inputs }) => inputs[0]?.position)).toEqual(whole.inputs.slice(2).map(({ position }) => position));
    expect(new Set(whole.inputs.map(({ position }) => position)).size).toBe(4);
  });
});

describe("heads", () => {
  const tied = () => qwen2({ tied: true });

  test("stay tied, stored nowhere, where the base's is: the case that ends in a KeyError elsewhere", () => {
    const { names, config, plan, warned } = planned(recipe(SHARED), tied());
    expect(names).not.toContain("lm_head.weight");
    expect(plan.tied).toEqual([{ tensor: "lm_head.weight", follows: "model.embed_tokens.weight" }]);
    expect(config.tie_word_embeddings).toBe(true);
    expect(warned).toEqual([]);
  });

  test("are stored where that is asked for, and config.json says so", () => {
    const { op, config } = planned(recipe(SHARED), tied(), { lmHead: "materialize" });
    expect(source(op("lm_head.weight"))).toEqual(["base model.embed_tokens.weight"]);
    expect(config.tie_word_embeddings).toBe(false);
  });

  test("are the base's own where it has one, whether or not the experts have", () => {
    const [base, ...experts] = [trio()[0], ...trio({ tied: true }).slice(1)] as Parameters<typeof planned>[1];
    const { op, config } = planned(recipe(), [base, ...experts] as Parameters<typeof planned>[1]);
    expect(source(op("lm_head.weight"))).toEqual(["base lm_head.weight"]);
    expect(config.tie_word_embeddings).toBe(false);
  });

  test("are dropped where they are to be tied, with a word about it", () => {
    const { names, config, warned } = planned(recipe(), trio(), { lmHead: "tied" });
    expect(names).not.toContain("lm_head.weight");
    expect(config.tie_word_embeddings).toBe(true);
    expect(warned).toEqual(["own-head-dropped"]);
  });

  test("that config.json calls tied and the file stores all the same are stored", () => {
    const { names, config, warned } = planned(recipe(), trio({ tied: true, head: true }));
    expect(names).toContain("lm_head.weight");
    expect(config.tie_word_embeddings).toBe(false);
    expect(warned).toEqual(["tied-but-stored"]);
  });
});

describe("shared experts", () => {
  test("may be a model that is no other expert, and have a gate of their own", () => {
    const models = [...qwen2(), tinyModel("c", { class: "Qwen2ForCausalLM" })];
    const { op, routers } = planned(recipe(SHARED.replace("source_model: a", "source_model: c")), models);
    const shared = "model.layers.0.mlp.shared_expert";
    expect(source(op(`${shared}.gate_proj.weight`))).toEqual(["c model.layers.0.mlp.gate_proj.weight"]);
    expect(op(`${shared}.down_proj.weight`)).toMatchObject({ kernel: "linear", params: [0.1] });
    expect(op(`${shared}_gate.weight`)).toMatchObject({ kernel: "literal", shape: [1, 4] });
    expect(routers.filter(({ of }) => of === "shared").map(({ layer }) => layer)).toEqual([0, 1]);
  });

  test("that there are not are zero, narrow, and behind a gate of zeros", () => {
    const { op, config } = planned(recipe(QWEN), qwen2());
    const shared = "model.layers.0.mlp.shared_expert";
    for (const part of ["gate_proj", "up_proj", "down_proj"]) {
      expect(op(`${shared}.${part}.weight`)).toMatchObject({ kernel: "constant", params: [0], shape: [4, 4] });
    }
    expect(op(`${shared}_gate.weight`)).toMatchObject({ kernel: "constant", params: [0], shape: [1, 4] });
    expect(config.shared_expert_intermediate_size).toBe(4);
  });

  test("that there are not are at most 256 wide", () => {
    const matrix = (rows: number, columns: number) => ({ dtype: "BF16" as const, shape: [rows, columns] });
    const tensors = Object.fromEntries(
      [0, 1].flatMap((layer) => [
        [`model.layers.${layer}.mlp.gate_proj.weight`, matrix(600, 4)],
        [`model.layers.${layer}.mlp.up_proj.weight`, matrix(600, 4)],
        [`model.layers.${layer}.mlp.down_proj.weight`, matrix(4, 600)],
      ]),
    );
    const { op, config } = planned(recipe(QWEN), qwen2({ tensors, config: { intermediate_size: 600 } }));
    expect(op("model.layers.1.mlp.shared_expert.up_proj.weight").shape).toEqual([256, 4]);
    expect(op("model.layers.1.mlp.shared_expert.down_proj.weight").shape).toEqual([4, 256]);
    expect(config).toMatchObject({ shared_expert_intermediate_size: 256, moe_intermediate_size: 600 });
  });

  test("of DeepSeek are there or not, as config.json says", () => {
    const none = planned(recipe("architecture: deepseek\n"), trio());
    expect(none.config.n_shared_experts).toBeNull();
    expect(none.names.filter((name) => name.includes("shared"))).toEqual([]);
    const one = planned(recipe("shared_experts: [{source_model: base}]\n"), trio());
    expect(one.config.n_shared_experts).toBe(1);
    expect(source(one.op("model.layers.1.mlp.shared_experts.up_proj.weight"))).toEqual([
      "base model.layers.1.mlp.up_proj.weight",
    ]);
  });
});

describe("biases", () => {
  test("that Qwen MoE has and the base has not are zero, as long as their weights have rows", () => {
    const narrow = { "model.layers.0.self_attn.k_proj.weight": { dtype: "BF16" as const, shape: [2, 4] } };
    const { op } = planned(recipe(QWEN), trio({ tensors: narrow }));
    expect(op("model.layers.0.self_attn.q_proj.bias")).toMatchObject({ kernel: "constant", params: [0], shape: [4] });
    expect(op("model.layers.0.self_attn.k_proj.bias").shape).toEqual([2]);
  });

  test("of the base are copied where there is a place for them", () => {
    const { op } = planned(recipe(QWEN), qwen2());
    expect(source(op("model.layers.1.self_attn.v_proj.bias"))).toEqual(["base model.layers.1.self_attn.v_proj.bias"]);
  });

  const vector = { dtype: "BF16" as const, shape: [4] };
  const attention = { "model.layers.0.self_attn.q_proj.bias": vector, "model.layers.0.self_attn.o_proj.bias": vector };

  test("of the base without a place are refused, not lost", () => {
    const some = {
      ...attention,
      "model.layers.0.self_attn.k_proj.bias": vector,
      "model.layers.0.self_attn.v_proj.bias": vector,
    };
    const [, ...experts] = trio();
    const base = tinyModel("base", {
      tensors: Object.fromEntries(
        [0, 1].flatMap((layer) => Object.entries(some).map(([name, view]) => [name.replace("0", String(layer)), view])),
      ),
      config: { attention_bias: true, hidden_size: 4 },
    });
    const [problem] = problemsOf(() => planned(recipe(), [base, ...experts]));
    expect(problem).toMatchObject({ code: "no-place", model: "base", at: { line: 1 } });
    expect(problem?.message).toContain(
      "Mixtral has no place for weights of the model: model.layers.0.self_attn.q_proj.bias",
    );
  });

  test("of an expert's feed-forward weights are refused, those of its attention are not taken anyway", () => {
    const biases = Object.fromEntries([0, 1].map((layer) => [`model.layers.${layer}.mlp.up_proj.bias`, vector]));
    const config = { mlp_bias: true };
    const [base, a] = trio();
    const models = (b: ReturnType<typeof tinyModel>) => [base, a, b] as Parameters<typeof planned>[1];
    const [problem] = problemsOf(() => planned(recipe(), models(tinyModel("b", { tensors: biases, config }))));
    expect(problem).toMatchObject({ code: "no-place", model: "b" });
    const own = tinyModel("b", { tensors: attention, config: { attention_bias: true } });
    expect(planned(recipe(), models(own)).warned).toEqual([]);
  });
});

describe("packed experts", () => {
  test("lie in one tensor, gate and up by expert", () => {
    const { op, names } = planned(recipe(SHARED), qwen2(), { expertLayout: "packed" });
    const packed = op("model.layers.0.mlp.experts.gate_up_proj");
    expect(packed).toMatchObject({ kernel: "assemble", shape: [2, 8, 4], params: [1, 0, 1, 0, 1, 0, 1, 0] });
    expect(source(packed)).toEqual([
      "a model.layers.0.mlp.gate_proj.weight",
      "a model.layers.0.mlp.up_proj.weight",
      "b model.layers.0.mlp.gate_proj.weight",
      "b model.layers.0.mlp.up_proj.weight",
    ]);
    expect(op("model.layers.1.mlp.experts.down_proj").shape).toEqual([2, 4, 4]);
    expect(names.filter((name) => /experts\.\d/.test(name))).toEqual([]);
    expect(names).toContain("model.layers.0.mlp.shared_expert.up_proj.weight");
  });

  test("are refused where the class has no such tensors, or there are too many pieces", () => {
    const packed = { expertLayout: "packed" } as const;
    const [deepseek] = problemsOf(() => planned(recipe("architecture: deepseek\n"), trio(), packed));
    expect(deepseek?.code).toBe("no-packed-layout");
    const many = Array.from({ length: 33 }, (_, i) => `  - {source_model: a, positive_prompts: [p${i}]}`).join("\n");
    const crowd = `base_model: base\ngate_mode: random\nexperts:\n${many}\n`;
    expect(problemsOf(() => planned(crowd, trio(), packed)).map(({ code }) => code)).toEqual(["too-many-pieces"]);
    expect(planned(crowd, trio()).config.num_local_experts).toBe(33);
  });
});

describe("config.json", () => {
  test("of a Mixtral keeps what the base says, and says what a llama leaves to its class", () => {
    const { config } = planned(
      recipe("experts_per_token: 1\n"),
      trio({ config: { eos_token_id: 7, rms_norm_eps: 1e-5 } }),
    );
    expect(config).toMatchObject({
      architectures: ["MixtralForCausalLM"],
      model_type: "mixtral",
      num_local_experts: 2,
      num_experts_per_tok: 1,
      sliding_window: null,
      eos_token_id: 7,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      num_key_value_heads: 2,
      max_position_embeddings: 2048,
      tie_word_embeddings: false,
    });
    const modern = planned(recipe(), trio({ config: { rope_parameters: { rope_theta: 5e5, rope_type: "default" } } }));
    expect(modern.config).not.toHaveProperty("rope_theta");
  });

  test("of a Qwen MoE switches sliding windows off and every layer to experts", () => {
    const sliding = {
      use_sliding_window: true,
      sliding_window: 8,
      layer_types: ["sliding_attention", "full_attention"],
    };
    const { config } = planned(recipe(QWEN), qwen2({ config: sliding }));
    expect(config).toMatchObject({
      use_sliding_window: false,
      sliding_window: null,
      decoder_sparse_step: 1,
      norm_topk_prob: true,
    });
    expect(config).not.toHaveProperty("layer_types");
  });

  test("of a DeepSeek MoE has the base of its rotations where older code looks for it", () => {
    const rotary = { rope_parameters: { rope_theta: 5e5, rope_type: "default" } };
    const { config } = planned(recipe("architecture: deepseek\n"), trio({ config: rotary }));
    expect(config).toMatchObject({ rope_theta: 5e5, moe_intermediate_size: 4, n_routed_experts: 2 });
    expect(config.auto_map).toHaveProperty("AutoModelForCausalLM");
  });
});

describe("beside the weights", () => {
  test("stand the configuration as it was written, and a card that names experts and prompts", () => {
    const { plan } = planned(recipe(), trio());
    expect(sideText(plan, "mergekit_moe_config.yml")).toBe(recipe());
    const card = sideText(plan, "README.md");
    expect(card).toContain("- moe\n");
    expect(card).toContain("A Mixtral mixture of 2 experts");
    expect(card).toContain('- [a](https://huggingface.co/a)\n  - "numbers"');
    expect(planned(recipe(), trio(), { writeModelCard: false }).plan.sideFiles.map(({ name }) => name)).toEqual([
      "config.json",
      "tokenizer.json",
    ]);
  });

  test("the plan says which part of the output depends on the machine", () => {
    expect(planned(recipe("", "hidden"), trio()).plan.varies).toContain("routers");
    for (const mode of ["cheap_embed", "random"]) expect(planned(recipe("", mode), trio()).plan.varies).toBeUndefined();
  });
});

describe("routers at random", () => {
  test("are normal numbers, or those that PyTorch starts from, without a wait for prompts", () => {
    const normal = planned(recipe("", "random"), trio());
    expect(normal.op("model.layers.0.block_sparse_moe.gate.weight")).toMatchObject({ kernel: "normal", params: [1] });
    expect(normal.routers).toEqual([]);
    const uniform = planned(recipe("", "uniform_random"), trio());
    expect(uniform.op("model.layers.0.block_sparse_moe.gate.weight")).toMatchObject({
      kernel: "uniform",
      params: [-0.5, 0.5],
    });
  });
});

describe("experts that do not fit the base", () => {
  test("are all reported, each with its model and its place", () => {
    const [base] = trio();
    const models = [base, tinyModel("a", { layers: 3 }), tinyModel("b", { hidden: 6 })] as Parameters<
      typeof planned
    >[1];
    const found = problemsOf(() => planned(recipe(), models));
    expect(found.map(({ code, model, at }) => [code, model, at?.line])).toEqual([
      ["unequal-layers", "a", 4],
      ["unequal-widths", "b", 6],
    ]);
    expect(found[0]?.message).toContain("3 layers, and the base, base, has 2");
    expect(found[1]?.message).toContain("mlp.gate_proj.weight of layer 0 is [6, 6] here and [4, 4] there");
  });

  test("may have another vocabulary", () => {
    const [base, a] = trio();
    const models = [base, a, tinyModel("b", { rows: 12 })] as Parameters<typeof planned>[1];
    expect(planned(recipe(), models).op("model.embed_tokens.weight").shape).toEqual([10, 4]);
  });

  test("a weight that is missing is named", () => {
    const [base, a] = trio();
    const broken = tinyModel("b", { tensors: { "model.layers.1.mlp.up_proj.weight": undefined } });
    const [problem] = problemsOf(() => planned(recipe(), [base, a, broken] as Parameters<typeof planned>[1]));
    expect(problem).toMatchObject({ code: "missing-tensor", model: "b", at: { line: 6 } });
    expect(problem?.message).toContain("the model lacks mlp.up_proj.weight of layer 1");
  });
});
