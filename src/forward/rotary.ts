import type { Report } from "../errors.ts";
import type { Model } from "../model/types.ts";
import type { DecoderShape } from "./shape.ts";

/** Rotary position embedding of sequences of some length. */
export interface Rotary {
  /** Radians per position, one for each pair of a head's elements. */
  frequencies: readonly number[];
  /** What sines and cosines are multiplied by. */
  scale: number;
}

/** Gives the embedding of a sequence of so many tokens: equal lengths give the same value, and most variants only one. */
export type RotaryOf = (tokens: number) => Rotary;

type Settings = Readonly<Record<string, unknown>>;

/** Variants of config.json's `rope_scaling` (`rope_parameters` in newer files), by `rope_type`. */
const VARIANTS: Readonly<Record<string, (settings: Numbers, shape: DecoderShape, base: number) => RotaryOf>> = {
  default: (_, shape, base) => always({ frequencies: plain(shape.headSize, base), scale: 1 }),
  linear,
  dynamic,
  yarn,
  longrope,
  // The name that the first models with it had.
  su: longrope,
  llama3,
};

/** The rotary embedding that config.json asks for. @returns undefined where that is not possible, which is reported. */
export function rotaryOf(model: Model, shape: DecoderShape, report: Report): RotaryOf | undefined {
  const { config } = model;
  const given = config.rope_scaling ?? config.rope_parameters ?? {};
  const settings = (typeof given === "object" ? given : {}) as Settings;
  const theta = settings.rope_theta ?? config.rope_theta ?? 10000;
  const type = settings.rope_type ?? settings.type ?? "default";
  const variant = typeof type === "string" && Object.hasOwn(VARIANTS, type) ? VARIANTS[type] : undefined;
  const problems: string[] = [];
  if (variant === undefined) problems.push(`rope_type ${JSON.stringify(type)} is not known`);
  if (typeof theta !== "number" || !(theta > 0)) problems.push("rope_theta must be a number above 0");
  if ((settings.partial_rotary_factor ?? config.partial_rotary_factor ?? 1) !== 1) {
    problems.push("partial_rotary_factor must be 1");
  }
  const numbers = new Numbers(settings, config, shape, problems);
  const found = variant?.(numbers, shape, theta as number);
  const hint = `the variants are ${Object.keys(VARIANTS).join(", ")}`;
  for (const problem of problems) {
    const message = `config.json, rotary embedding: ${problem}`;
    report.error({
      code: "forward-rotary",
      message,
      model: model.name,
      hint: variant === undefined ? hint : undefined,
    });
  }
  return problems.length > 0 ? undefined : found;
}

/** The numbers of a variant; what is missing is a problem. */
class Numbers {
  readonly #settings: Settings;
  readonly #config: Settings;
  readonly #problems: string[];
  readonly #positions: number;

  constructor(settings: Settings, config: Settings, shape: DecoderShape, problems: string[]) {
    this.#settings = settings;
    this.#config = config;
    this.#problems = problems;
    this.#positions = shape.positions;
  }

  needed(key: string): number {
    const value = this.optional(key);
    if (value === undefined) this.#problems.push(`${key} is missing`);
    return value ?? 1;
  }

  optional(key: string): number | undefined {
    const value = this.#settings[key] ?? undefined;
    if (value === undefined || (typeof value === "number" && value > 0)) return value;
    this.#problems.push(`${key} must be a number above 0`);
    return undefined;
  }

  list(key: string, length: number): readonly number[] {
    const value = this.#settings[key];
    const numbers = Array.isArray(value) && value.every((one) => typeof one === "number" && one > 0);
    if (numbers && value.length === length) return value as number[];
    this.#problems.push(`${key} must be ${length} numbers above 0`);
    return Array<number>(length).fill(1);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.#settings[key];
    return typeof value === "boolean" ? value : fallback;
  }

  /** Positions of the model before it was stretched. */
  originalPositions(): number {
    const outside = this.#config.original_max_position_embeddings;
    if (typeof outside === "number" && outside > 0) return outside;
    return this.optional("original_max_position_embeddings") ?? this.#positions;
  }
}

function always(rotary: Rotary): RotaryOf {
  return () => rotary;
}

/** base^(-2i / size), rounded to float32 at each step as models were trained with. */
function plain(size: number, base: number): number[] {
  return wavelengths(size, base).map((wavelength) => Math.fround(1 / wavelength));
}

function wavelengths(size: number, base: number): number[] {
  return Array.from({ length: size / 2 }, (_, i) => Math.fround(base ** Math.fround((2 * i) / size)));
}

/** Positions closer to each other: https://kaiokendev.github.io/til#extending-context-to-8k */
function linear(settings: Numbers, { headSize }: DecoderShape, base: number): RotaryOf {
  const factor = settings.needed("factor");
  return always({ frequencies: plain(headSize, base).map((f) => Math.fround(f / factor)), scale: 1 });
}

/** A base that grows with sequences beyond the model's positions: "dynamic NTK". */
function dynamic(settings: Numbers, { headSize, positions }: DecoderShape, base: number): RotaryOf {
  const factor = settings.needed("factor");
  const usual: Rotary = { frequencies: plain(headSize, base), scale: 1 };
  return (tokens) => {
    if (tokens <= positions) return usual;
    const stretch = (factor * tokens) / positions - (factor - 1);
    return { frequencies: plain(headSize, base * stretch ** (headSize / (headSize - 2))), scale: 1 };
  };
}

/** Peng et al., "YaRN: Efficient context window extension of large language models" (2023). */
function yarn(settings: Numbers, { headSize, positions }: DecoderShape, base: number): RotaryOf {
  const original = settings.originalPositions();
  const factor = settings.optional("factor") ?? positions / original;
  const turns = (rotations: number) =>
    (headSize * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const truncate = settings.flag("truncate", true);
  const first = turns(settings.optional("beta_fast") ?? 32);
  const last = turns(settings.optional("beta_slow") ?? 1);
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const high = Math.min(truncate ? Math.ceil(last) : last, headSize - 1);
  const width = high === low ? 0.001 : high - low;
  const frequencies = wavelengths(headSize, base).map((wavelength, i) => {
    const interpolated = Math.min(Math.max((i - low) / width, 0), 1);
    return Math.fround(interpolated / (factor * wavelength) + (1 - interpolated) / wavelength);
  });
  const magnitude = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const [over, under] = [settings.optional("mscale"), settings.optional("mscale_all_dim")];
  const usual = over !== undefined && under !== undefined ? magnitude(over) / magnitude(under) : magnitude(1);
  return always({ frequencies, scale: settings.optional("attention_factor") ?? usual });
}

/** Ding et al., "LongRoPE: Extending LLM context window beyond 2 million tokens" (2024). */
function longrope(settings: Numbers, { headSize, positions }: DecoderShape, base: number): RotaryOf {
  const original = settings.originalPositions();
  const factor = settings.optional("factor") ?? positions / original;
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  const scale = settings.optional("attention_factor") ?? usual;
  const stretched = (key: string): Rotary => {
    const factors = settings.list(key, headSize / 2);
    const frequencies = wavelengths(headSize, base).map((w, i) =>
      Math.fround(1 / Math.fround(Math.fround(factors[i] as number) * w)),
    );
    return { frequencies, scale };
  };
  const [short, long] = [stretched("short_factor"), stretched("long_factor")];
  return (tokens) => (tokens > original ? long : short);
}

/** Long wavelengths stretched, short ones kept, a ramp between: Llama 3.1. */
function llama3(settings: Numbers, { headSize }: DecoderShape, base: number): RotaryOf {
  const factor = settings.needed("factor");
  const low = settings.needed("low_freq_factor");
  const high = settings.needed("high_freq_factor");
  const original = settings.originalPositions();
  const frequencies = plain(headSize, base).map((frequency) => {
    const turns = (original * frequency) / (2 * Math.PI);
    const kept = Math.min(Math.max((turns - low) / (high - low), 0), 1);
    return Math.fround((1 - kept) * (frequency / factor) + kept * frequency);
  });
  return always({ frequencies, scale: 1 });
}
