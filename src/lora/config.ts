import type { Report } from "../errors.ts";
import { isObject } from "../model/json-file.ts";
import type { AdapterConfig } from "./types.ts";

type Json = Readonly<Record<string, unknown>>;

/** Ways to start an adapter that change the base as well: what is stored belongs to another base. */
const CHANGED_BASE = /^(pissa|olora|corda|loftq|lora_ga)/;
/** Variants whose effect is more than `W + scale B A`, by the key of adapter_config.json that asks for them. */
const OTHER_ARITHMETIC = [
  "use_qalora",
  "use_bdlora",
  "alora_invocation_tokens",
  "arrow_config",
  "kasa_config",
  "velora_config",
  "monteclora_config",
  "layer_replication",
] as const;

/**
 * Reads the fields of adapter_config.json (https://huggingface.co/docs/peft/package_reference/lora) that decide what the
 * adapter does to the weights.
 * @returns undefined where the adapter cannot be used; the report says why.
 */
export function readAdapterConfig(json: Json, path: string, report: Report): AdapterConfig | undefined {
  const before = report.errors.length;
  const refuse = (code: string, message: string, hint?: string) => report.error({ code, message, path, hint });
  const type = json.peft_type;
  if (type !== undefined && !(typeof type === "string" && type.toUpperCase() === "LORA")) {
    refuse(
      "adapter-type",
      `the adapter is of type ${JSON.stringify(type)}`,
      "only LoRA adapters (LORA) can be applied",
    );
    return undefined;
  }
  for (const key of OTHER_ARITHMETIC) {
    if (isSet(json[key])) refuse("adapter-variant", `the adapter needs ${key}, which cannot be merged into weights`);
  }
  const start = json.init_lora_weights;
  if (typeof start === "string" && CHANGED_BASE.test(start)) {
    const hint = "save it with path_initial_model_for_weight_conversion, which makes a usual adapter of it";
    refuse("adapter-changed-base", `init_lora_weights "${start}" means that the adapter fits a changed base`, hint);
  }
  const rank = positive(json.r, "r", 8, refuse);
  const config: AdapterConfig = {
    file: path,
    rank,
    alpha: finite(json.lora_alpha, "lora_alpha", 8, refuse),
    useRslora: json.use_rslora === true,
    useDora: json.use_dora === true,
    rankPattern: pattern(json.rank_pattern, "rank_pattern", refuse),
    alphaPattern: pattern(json.alpha_pattern, "alpha_pattern", refuse),
    targetModules: targets(json.target_modules),
    excludeModules: names(json.exclude_modules),
    targetParameters: list(json.target_parameters),
    layersToTransform: numbers(json.layers_to_transform),
    layersPattern: list(json.layers_pattern),
    modulesToSave: list(json.modules_to_save),
    fanInFanOut: json.fan_in_fan_out === true,
    ensureWeightTying: json.ensure_weight_tying === true,
    tokenRows: tokenRows(json.trainable_token_indices),
    base: typeof json.base_model_name_or_path === "string" ? json.base_model_name_or_path : undefined,
  };
  for (const [key, value] of config.rankPattern) {
    if (!(Number.isInteger(value) && value > 0)) refuse("adapter-rank", `rank_pattern gives ${key} the rank ${value}`);
  }
  return report.errors.length === before ? config : undefined;
}

type Refuse = (code: string, message: string, hint?: string) => void;

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}

function positive(value: unknown, name: string, otherwise: number, refuse: Refuse): number {
  if (value === undefined) return otherwise;
  if (typeof value === "number" && Number.isInteger(value) && value > 0) return value;
  refuse("adapter-rank", `${name} is ${JSON.stringify(value)}: a rank is a whole number of at least 1`);
  return otherwise;
}

function finite(value: unknown, name: string, otherwise: number, refuse: Refuse): number {
  if (value === undefined || value === null) return otherwise;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  refuse("adapter-config", `${name} is ${JSON.stringify(value)}, not a number`);
  return otherwise;
}

function pattern(value: unknown, name: string, refuse: Refuse): Map<string, number> {
  if (value === undefined || value === null) return new Map();
  if (isObject(value) && Object.values(value).every((one) => typeof one === "number")) {
    return new Map(Object.entries(value as Record<string, number>));
  }
  refuse("adapter-config", `${name} is not an object of numbers`);
  return new Map();
}

function targets(value: unknown): readonly string[] | string | undefined {
  const read = names(value);
  return typeof read === "string" && read.toLowerCase() === "all-linear" ? undefined : read;
}

function names(value: unknown): readonly string[] | string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  const found = list(value);
  return found.length === 0 ? undefined : found;
}

function list(value: unknown): readonly string[] {
  if (typeof value === "string") return value === "" ? [] : [value];
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
}

function numbers(value: unknown): readonly number[] | undefined {
  if (typeof value === "number") return [value];
  if (!Array.isArray(value) || value.length === 0) return undefined;
  return value.filter((one): one is number => typeof one === "number");
}

function tokenRows(value: unknown): Map<string, readonly number[]> {
  if (Array.isArray(value)) return new Map([["*", numbers(value) ?? []]]);
  if (!isObject(value)) return new Map();
  return new Map(Object.entries(value).map(([name, rows]) => [name, numbers(rows) ?? []]));
}
