import type { Report } from "../errors.ts";
import { isFloat } from "../model/dtype.ts";
import { someNames } from "./names.ts";
import type { Adapter, AdapterModule, AdapterParts, StoredFactor } from "./types.ts";

const PREFIX = "base_model.model.";
/** A module's path and the factor, PEFT's name of the adapter within left out. */
const FACTOR =
  /^(.+)\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)(?:\.default)?(?:\.(weight|bias))?$/;
const TOKEN_ROWS = /^(.+)\.token_adapter\.trainable_tokens_delta(?:\.default)?$/;
const SAVED = /\.modules_to_save(?:\.default)?(?=\.)/;
/** What PEFT keeps of the base beside a saved module or a row of an embedding. */
const BASE_COPY = /\.(original_module|token_adapter\.base_layer|token_adapter\.trainable_tokens_original)(?=\.)/;

/** Sorts an adapter's tensors by what they are for. Factors without their counterpart go to the report. */
export function partsOf(adapter: Adapter, report: Report): AdapterParts {
  const modules = new Map<string, { -readonly [K in keyof AdapterModule]: AdapterModule[K] }>();
  const replaced = new Map<string, StoredFactor>();
  const tokenRows = new Map<string, StoredFactor>();
  const baseCopies = new Map<string, StoredFactor>();
  const integers: string[] = [];
  for (const [tensor, view] of adapter.tensors) {
    const name = tensor.startsWith(PREFIX) ? tensor.slice(PREFIX.length) : tensor;
    const stored = { tensor, view };
    if (BASE_COPY.test(`${name}.`)) {
      baseCopies.set(name.replace(BASE_COPY, ""), stored);
      continue;
    }
    if (!isFloat(view.dtype)) integers.push(tensor);
    const factor = FACTOR.exec(name);
    const rows = TOKEN_ROWS.exec(name);
    if (factor !== null) addFactor(modules, factor, stored);
    else if (rows !== null) tokenRows.set(rows[1] as string, stored);
    else replaced.set(name.replace(SAVED, "").replaceAll(".base_layer.", "."), stored);
  }
  if (integers.length > 0) {
    report.error({
      code: "adapter-dtype",
      message: `the adapter's tensors are no floating point numbers: ${someNames(integers)}`,
      path: adapter.weightFiles[0]?.path,
    });
  }
  const complete = [...modules.values()].filter(({ a, b }) => a !== undefined && b !== undefined);
  reportHalves([...modules.values()], adapter, report);
  return { modules: complete, replaced, tokenRows, baseCopies };
}

function addFactor(
  modules: Map<string, { -readonly [K in keyof AdapterModule]: AdapterModule[K] }>,
  [, path = "", kind, end]: RegExpExecArray,
  stored: StoredFactor,
): void {
  const none = { a: undefined, b: undefined, isEmbedding: false, bias: undefined, magnitude: undefined };
  const module = modules.get(path) ?? { path, ...none };
  modules.set(path, module);
  if (kind?.startsWith("lora_embedding")) module.isEmbedding = true;
  if (end === "bias") module.bias = stored;
  else if (kind === "lora_magnitude_vector") module.magnitude = stored;
  else if (kind?.endsWith("A")) module.a = stored;
  else module.b = stored;
}

function reportHalves(modules: readonly AdapterModule[], adapter: Adapter, report: Report): void {
  for (const { path, a, b, isEmbedding } of modules) {
    if (a !== undefined && b !== undefined) continue;
    const kind = isEmbedding ? "lora_embedding" : "lora";
    report.error({
      code: "adapter-incomplete",
      message: `the adapter lacks a tensor: ${path} has ${a ? `${kind}_A` : b ? `${kind}_B` : "a part"} and no ${a ? `${kind}_B` : `${kind}_A`}`,
      path: adapter.weightFiles[0]?.path,
      hint: "fetch or save the adapter again: its file is not whole",
    });
  }
}
