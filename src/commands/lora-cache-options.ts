import { type FloatDtype, parseTorchDtype, torchDtypeNames } from "../model/dtype.ts";
import type { LoraCache } from "./lora-cache.ts";
import { type Options, type OptionValues, offering, type Reader, text } from "./option.ts";
import { UsageError } from "./parse.ts";

const dtype = offering(torchDtypeNames, (value): ReturnType<Reader<FloatDtype>> => {
  const found = parseTorchDtype(value);
  if (found !== undefined) return { value: found };
  return { wrong: `"${value}" is no dtype of weights`, hint: `one of ${torchDtypeNames.join(", ")}` };
});

export const LORA_CACHE_OPTIONS = {
  loraMergeCache: {
    kind: "value",
    name: "lora-merge-cache",
    metavar: "FOLDER",
    read: text,
    default: undefined,
    doc:
      "Write models that are named with an adapter (base+adapter) here, the adapter applied, and use what is there " +
      "already. Without it, adapters are applied as tensors are read, and nothing is written.",
    group: "Storage",
  },
  loraMergeDtype: {
    kind: "value",
    name: "lora-merge-dtype",
    metavar: "DTYPE",
    read: dtype,
    default: undefined,
    shownDefault: "the model's",
    doc: "What models in --lora-merge-cache are stored as. Adapters are always applied in float32.",
    group: "Storage",
  },
} as const satisfies Options;

/** The cache that a command line asks for. */
export function loraCacheOf({
  loraMergeCache,
  loraMergeDtype,
}: OptionValues<typeof LORA_CACHE_OPTIONS>): LoraCache | undefined {
  if (loraMergeCache === undefined) return undefined;
  if (loraMergeCache === "")
    throw new UsageError({ code: "option-value", message: "--lora-merge-cache names no folder" });
  return { folder: loraMergeCache, dtype: loraMergeDtype };
}
