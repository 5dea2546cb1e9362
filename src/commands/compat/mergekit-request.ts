import { DEFAULT_OPTIONS } from "../../plan/types.ts";
import { deviceRequest } from "../device.ts";
import type { MergeRequest } from "../execute-merge.ts";
import { loraCacheOf } from "../lora-cache-options.ts";
import type { OptionValues } from "../option.ts";
import type { MERGEKIT_OPTIONS } from "./mergekit-options.ts";

/** What mergekit's options ask for, whatever is to be merged. */
export type MergekitRequest = Pick<MergeRequest, "options" | "loraCache" | "run" | "engine" | "messages">;

/**
 * From the options that mergekit's merge commands share to a request: a model in the output folder is replaced.
 * @throws SinterError where they ask for a GPU and there is none.
 */
export function mergekitRequest(values: OptionValues<typeof MERGEKIT_OPTIONS>): MergekitRequest {
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
    engine: { threads: values.numThreads, target: "auto", device: mergekitDevice(values) },
    messages: { quiet: values.quiet, json: false, plan: values.verbosity > 0 && !values.quiet },
  };
}

type DeviceChoice = Pick<
  OptionValues<typeof MERGEKIT_OPTIONS>,
  "cuda" | "gpuRich" | "multiGpu" | "device" | "lowCpuMemory"
>;

/**
 * mergekit's options for GPUs. `--device` goes before `--cuda`, and an empty one is none; without either the CPU computes,
 * unless all GPUs are asked for, as `--gpu-rich` does. It leaves the host's memory for copies as large as it is: little of
 * it, which it means in mergekit, would make them slow.
 * @throws SinterError where they ask for a GPU and there is none.
 */
export function mergekitDevice({ cuda, gpuRich, multiGpu, device, lowCpuMemory }: DeviceChoice) {
  const all = multiGpu || gpuRich;
  const named = device || (cuda || all ? "cuda" : "cpu");
  return deviceRequest({
    // Of several GPUs none is the one.
    device: all && /^cuda:\d+$/.test(named) ? "cuda" : named,
    multiGpu: all && named !== "cpu",
    lowCpuMemory,
  });
}
