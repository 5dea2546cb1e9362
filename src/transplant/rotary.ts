import { configValue } from "../architecture/config-values.ts";
import type { Report } from "../errors.ts";
import type { NativeRotary } from "../native.ts";
import type { TokenModel } from "./models.ts";

const USUAL_BASE = 10_000;

/**
 * Heads and base of a model's rotary positions, for rows of `width` elements.
 * @returns undefined, and a problem, where the width cannot be divided into heads of pairs.
 */
export function rotaryOf({ model, architecture }: TokenModel, width: number, report: Report): NativeRotary | undefined {
  // Where the language model is a part of a larger one, its keys stand beside its vocabulary's size.
  const prefix = architecture.keys.vocabSize.replace(/[^.]*$/, "");
  const value = (key: string) => configValue(model.config, prefix + key) ?? configValue(model.config, key);
  const heads = value("num_attention_heads") ?? value("n_head");
  const base =
    value("rope_theta") ?? value("rope_parameters.rope_theta") ?? value("rope_parameters.full_attention.rope_theta");
  if (typeof heads === "number" && heads > 0 && width % (2 * heads) === 0) {
    return { heads, base: typeof base === "number" && base > 0 ? base : USUAL_BASE };
  }
  report.error({
    code: "no-rotary",
    message: `rows of ${width} elements cannot be divided into ${heads ?? "an unknown number of"} heads of pairs`,
    model: model.name,
    hint: "mp_rope needs num_attention_heads in config.json; omp does the same without positions",
  });
  return undefined;
}
