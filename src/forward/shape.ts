import { configValue } from "../architecture/config-values.ts";
import type { Report } from "../errors.ts";
import type { ForwardModel } from "./types.ts";

/** The families whose forward pass is known here. They are one computation with parts that are there or not. */
export const FORWARD_FAMILIES = ["llama", "mistral", "qwen2", "qwen3"] as const;
export type ForwardFamily = (typeof FORWARD_FAMILIES)[number];

/** The numbers of config.json that decide a forward pass. */
export interface DecoderShape {
  width: number;
  intermediate: number;
  heads: number;
  keyHeads: number;
  headSize: number;
  epsilon: number;
  /** Positions that the model was made for. */
  positions: number;
  /** For each layer, the positions that one sees, itself included; 0: all before it. */
  windows: readonly number[];
}

/** What the model's class takes where config.json leaves a key out. */
const DEFAULTS: Readonly<Record<ForwardFamily, Readonly<Record<string, unknown>>>> = {
  llama: { max_position_embeddings: 2048 },
  mistral: { max_position_embeddings: 131072, num_key_value_heads: 8, sliding_window: 4096 },
  qwen2: { max_position_embeddings: 32768, num_key_value_heads: 32, sliding_window: 4096, max_window_layers: 28 },
  qwen3: {
    max_position_embeddings: 32768,
    num_key_value_heads: 32,
    sliding_window: 4096,
    max_window_layers: 28,
    head_dim: 128,
  },
};

/** The family, if its forward pass is known; else reports what is. */
export function forwardFamily({ model, architecture }: ForwardModel, report: Report): ForwardFamily | undefined {
  const family = FORWARD_FAMILIES.find((name) => name === architecture.family);
  if (family !== undefined && architecture.modules.length === 1) return family;
  report.error({
    code: "no-forward",
    message: `the forward pass of the family ${architecture.family} is not known`,
    model: model.name,
    hint: `it is for these: ${FORWARD_FAMILIES.join(", ")}`,
  });
  return undefined;
}

/** Reads the shape of a model of a known family. @returns undefined where something is wrong, which is reported. */
export function decoderShape(forward: ForwardModel, family: ForwardFamily, report: Report): DecoderShape | undefined {
  const { model } = forward;
  const before = report.errors.length;
  const value = (key: string): unknown => configValue(model.config, key) ?? undefined;
  const wrong = (message: string, hint?: string) => {
    report.error({ code: "forward-config", message: `config.json: ${message}`, model: model.name, hint });
    return 0;
  };
  const count = (key: string, fallback?: number): number => {
    const found = value(key) ?? DEFAULTS[family][key] ?? fallback;
    if (typeof found === "number" && Number.isInteger(found) && found > 0) return found;
    return wrong(found === undefined ? `${key} is missing` : `${key} must be a whole number of at least 1`);
  };
  const width = count("hidden_size");
  const heads = count("num_attention_heads");
  const explicitNone = configValue(model.config, "num_key_value_heads") === null;
  const keyHeads = explicitNone ? heads : count("num_key_value_heads", heads);
  const headSize = count("head_dim", Math.floor(width / heads));
  const epsilon = value("rms_norm_eps") ?? 1e-6;
  if (typeof epsilon !== "number" || !(epsilon >= 0)) wrong("rms_norm_eps must be a number of at least 0");
  const activation = value("hidden_act") ?? "silu";
  if (activation !== "silu" && activation !== "swish") {
    wrong(`hidden_act ${JSON.stringify(activation)} is not known`, "the forward pass is for silu");
  }
  if (keyHeads > 0 && heads % keyHeads !== 0) wrong("num_key_value_heads must divide num_attention_heads");
  if (headSize % 2 !== 0) wrong(`heads of ${headSize} elements have no pairs to rotate`);
  const shape: DecoderShape = {
    width,
    intermediate: count("intermediate_size"),
    heads,
    keyHeads,
    headSize,
    epsilon: epsilon as number,
    positions: count("max_position_embeddings"),
    windows: slidingWindows(forward, family, wrong),
  };
  return report.errors.length > before ? undefined : shape;
}

/** Which layers look back how far: every family says so in its own way. */
function slidingWindows(
  { model, architecture }: ForwardModel,
  family: ForwardFamily,
  wrong: (message: string) => void,
): number[] {
  const layers = architecture.modules[0]?.layers.length ?? 0;
  const all = Array<number>(layers).fill(0);
  if (family === "llama") return all;
  const { config } = model;
  // `null` turns it off; a key that is not there is another matter.
  const window = config.sliding_window === undefined ? DEFAULTS[family].sliding_window : config.sliding_window;
  if (window === null || (family !== "mistral" && config.use_sliding_window !== true)) return all;
  if (typeof window !== "number" || !Number.isInteger(window) || window < 1) {
    wrong("sliding_window must be a whole number of at least 1");
    return all;
  }
  if (family === "mistral") return all.fill(window);
  const types = config.layer_types;
  if (Array.isArray(types)) return all.map((_, layer) => (types[layer] === "sliding_attention" ? window : 0));
  const first = (config.max_window_layers ?? DEFAULTS[family].max_window_layers) as number;
  return all.map((_, layer) => (layer >= first ? window : 0));
}
