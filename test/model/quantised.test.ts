import { describe, expect, test } from "bun:test";
import type { Dtype } from "../../src/model/dtype.ts";
import { quantisedConfig, quantisedDtype, quantisedTensors } from "../../src/model/quantised.ts";
import type { TensorView } from "../../src/model/types.ts";

describe("a config.json that says how its model is quantised", () => {
  test.each([
    [{ quantization_config: { quant_method: "gptq", bits: 4 } }, "GPTQ, 4 bits"],
    [{ quantization_config: { quant_method: "awq", bits: 4 } }, "AWQ, 4 bits"],
    [{ quantization_config: { quant_method: "fp8", weight_block_size: [128, 128] } }, "FP8"],
    [{ quantization_config: { load_in_8bit: true, load_in_4bit: false } }, "bitsandbytes, 8 bits"],
    [{ quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true } }, "bitsandbytes, 4 bits"],
    [{ quantization_config: { quant_method: "mxfp4" } }, "MXFP4"],
    [{ quantization_config: { quant_method: "newest" } }, "newest"],
    [{ quantization_config: {} }, "by an unknown method"],
    [{ compression_config: { quant_method: "compressed-tensors" } }, "compressed-tensors"],
    [{ text_config: { quantization_config: { quant_method: "gptq" } } }, "GPTQ"],
  ])("is refused, with the method: %j", (config, method) => {
    const problem = quantisedConfig(config, "config.json");
    expect(problem?.code).toBe("quantised-model");
    expect(problem?.message).toBe(`the model is quantised (${method}), and quantised weights cannot be merged`);
    expect(problem?.hint).toContain("original 16-bit or 32-bit weights");
  });

  test.each([[{}], [{ quantization_config: null }], [{ text_config: "x" }]])("and says nothing: %j", (config) => {
    expect(quantisedConfig(config, "config.json")).toBeUndefined();
  });
});

describe("weights are recognised as quantised by their names", () => {
  const view = (dtype: Dtype): TensorView => ({ file: "model.safetensors", offset: 0, dtype, shape: [1] });
  const q = "model.layers.0.self_attn.q_proj";

  test.each<[string, Record<string, Dtype>]>([
    ["GPTQ", { [`${q}.qweight`]: "I32", [`${q}.qzeros`]: "I32", [`${q}.scales`]: "F16", [`${q}.g_idx`]: "I32" }],
    ["GPTQ or AWQ", { [`${q}.qweight`]: "I32", [`${q}.qzeros`]: "I32", [`${q}.scales`]: "F16" }],
    ["bitsandbytes, 4 bits", { [`${q}.weight`]: "U8", [`${q}.weight.absmax`]: "U8", [`${q}.weight.quant_map`]: "F32" }],
    ["bitsandbytes, 4 bits", { [`${q}.weight`]: "U8", [`${q}.weight.quant_state.bitsandbytes__nf4`]: "U8" }],
    ["bitsandbytes, 8 bits", { [`${q}.weight`]: "I8", [`${q}.SCB`]: "F32" }],
    ["compressed-tensors", { [`${q}.weight_packed`]: "I32", [`${q}.weight_scale`]: "BF16" }],
    ["MXFP4", { "model.layers.0.mlp.experts.gate_up_proj_blocks": "U8", "x.gate_up_proj_scales": "U8" }],
    ["HQQ", { [`${q}.W_q`]: "U8" }],
  ])("%s", (what, tensors) => {
    const problem = quantisedTensors(new Map(Object.entries(tensors).map(([name, dtype]) => [name, view(dtype)])));
    expect(problem?.code).toBe("quantised-weights");
    expect(problem?.message).toStartWith(`the weights are quantised (${what}, by their names)`);
    expect(problem?.path).toBe("model.safetensors");
    expect(Object.keys(tensors)).toContain(problem?.tensor ?? "");
  });

  test("but not where a name alone is like one, and the numbers are floating-point", () => {
    const names = [`${q}.weight`, "norm.scales", "x.qweight", "y.weight.absmax"];
    const tensors = new Map<string, TensorView>(names.map((name) => [name, view("BF16")]));
    tensors.set("position_ids", view("I64"));
    expect(quantisedTensors(tensors)).toBeUndefined();
  });
});

test("dtypes of 8 and fewer bits hold quantised weights where they are none of whole numbers", () => {
  const quantised = [
    "F8_E4M3",
    "F8_E5M2",
    "F8_E8M0",
    "F6_E2M3",
    "F4",
    "I4",
    "U2",
    "float8_e5m2",
    "float4_e2m1fn_x2",
    "qint8",
    "quint4x2",
  ];
  expect(quantised.filter((name) => !quantisedDtype(name))).toEqual([]);
  expect(
    ["F16", "BF16", "F64", "C64", "I64", "BOOL", "complex64", "bfloat16", "uint16"].filter(quantisedDtype),
  ).toEqual([]);
});
