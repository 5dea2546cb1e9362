import { DEFAULT_OPTIONS } from "../../plan/types.ts";
import type { MergeRequest } from "../execute-merge.ts";
import { loraCacheOf } from "../lora-cache-options.ts";
import type { OptionValues } from "../option.ts";
import type { MERGEKIT_OPTIONS } from "./mergekit-options.ts";
import { refuseGpu } from "./refuse-gpu.ts";

/** What mergekit's options ask for, whatever is to be merged. */
export type MergekitRequest = Pick<MergeRequest, "options" | "loraCache" | "run" | "engine" | "messages">;

/**
 * From the options that mergekit's merge commands share to a request: a model in the output folder is replaced.
 * @throws SinterError where they ask for a GPU.
 */
export function mergekitRequest(values: OptionValues<typeof MERGEKIT_OPTIONS>): MergekitRequest {
  refuseGpu(values);
  const { outShardSize, copyTokenizer, writeModelCard, safeSerialization, allowCrimes } = values;
  return {
    options: {
      ...DEFAULT_OPTIONS,
      outShardSize,
      copyTokenizer,
      writeModelCard,
      safeSerialization,
      allowCrimes,
      seed: values.randomSeed,
      cacheDir: values.transformersCache,
    },
    loraCache: loraCacheOf(values),
    run: { force: true, resume: true, nan: "warn", sync: true },
    engine: { threads: values.numThreads, target: "auto" },
    messages: { quiet: values.quiet, json: false, plan: values.verbosity > 0 && !values.quiet },
  };
}
