import type { Problem } from "../errors.ts";
import { isFloat } from "./dtype.ts";
import { isObject } from "./json-file.ts";
import type { TensorView } from "./types.ts";

/** What to use instead, whatever was found. */
export const ORIGINAL_WEIGHTS = "use the model's original 16-bit or 32-bit weights, and quantise the merged model";

/** `quant_method` of config.json, as its users call it. */
const METHODS: Readonly<Record<string, string>> = {
  gptq: "GPTQ",
  awq: "AWQ",
  bitsandbytes: "bitsandbytes",
  fp8: "FP8",
  fbgemm_fp8: "FP8",
  mxfp4: "MXFP4",
  "compressed-tensors": "compressed-tensors",
  hqq: "HQQ",
  aqlm: "AQLM",
  eetq: "EETQ",
  quanto: "Quanto",
  torchao: "torchao",
  gguf: "GGUF",
};

/** Names that only quantised weights have. The first pattern that is found says what they are. */
const PATTERNS: readonly { pattern: RegExp; what: string }[] = [
  { pattern: /(^|\.)g_idx$/, what: "GPTQ" },
  { pattern: /(^|\.)(qweight|qzeros)$/, what: "GPTQ or AWQ" },
  {
    pattern: /\.quant_state\.bitsandbytes__|\.weight\.(absmax|quant_map|nested_absmax)$/,
    what: "bitsandbytes, 4 bits",
  },
  { pattern: /\.(SCB|weight_format)$/, what: "bitsandbytes, 8 bits" },
  { pattern: /\.weight_packed$/, what: "compressed-tensors" },
  { pattern: /_proj_blocks$/, what: "MXFP4" },
  { pattern: /\.W_q$/, what: "HQQ" },
  { pattern: /\.Qidxs$/, what: "QuIP#" },
];
const ANY_PATTERN = new RegExp(PATTERNS.map(({ pattern }) => pattern.source).join("|"));

/** Whether a dtype, in PyTorch's or in safetensors' name for it, holds quantised weights. */
export function quantisedDtype(name: string): boolean {
  return /^(float[468]_|qu?int|[FIU][2-8](_|$))/.test(name);
}

/**
 * What a model's config.json says about quantisation, for the model or for the text model in it.
 * @returns undefined where it says nothing; else why the model is refused.
 */
export function quantisedConfig(config: Readonly<Record<string, unknown>>, path: string): Problem | undefined {
  const text = isObject(config.text_config) ? config.text_config : {};
  const found = [config, text].flatMap((part) => [part.quantization_config, part.compression_config]).find(isObject);
  if (found === undefined) return undefined;
  return {
    code: "quantised-model",
    message: `the model is quantised (${describe(found)}), and quantised weights cannot be merged`,
    path,
    hint: `${ORIGINAL_WEIGHTS}; where its weights are in fact 16-bit, take quantization_config out of config.json`,
  };
}

function describe(quantisation: Readonly<Record<string, unknown>>): string {
  const fourBit = quantisation.load_in_4bit === true;
  const eightBit = quantisation.load_in_8bit === true;
  const method = typeof quantisation.quant_method === "string" ? quantisation.quant_method : "";
  const known =
    METHODS[method] ?? (method !== "" ? method : fourBit || eightBit ? "bitsandbytes" : "by an unknown method");
  const bits = typeof quantisation.bits === "number" ? quantisation.bits : fourBit ? 4 : eightBit ? 8 : undefined;
  return bits === undefined ? known : `${known}, ${bits} bits`;
}

/**
 * Recognises quantised weights by their names, where config.json says nothing. They hold whole numbers: to look at those
 * alone costs nothing in the models that are not quantised.
 * @returns undefined where there are none; else why the model is refused.
 */
export function quantisedTensors(tensors: ReadonlyMap<string, TensorView>): Problem | undefined {
  const found: string[] = [];
  for (const [name, view] of tensors) {
    if ((!isFloat(view.dtype) || name.endsWith(".SCB")) && ANY_PATTERN.test(name)) found.push(name);
  }
  const [first] = found;
  if (first === undefined) return undefined;
  const what = PATTERNS.find(({ pattern }) => found.some((name) => pattern.test(name)))?.what;
  const more = found.length === 1 ? "" : ` (and ${found.length - 1} more tensors)`;
  return {
    code: "quantised-weights",
    message: `the weights are quantised (${what}, by their names), and quantised weights cannot be merged${more}`,
    tensor: first,
    path: tensors.get(first)?.file,
    hint: ORIGINAL_WEIGHTS,
  };
}
