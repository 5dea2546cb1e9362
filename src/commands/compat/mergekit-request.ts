import { type Problem, SinterError } from "../../errors.ts";
import { DEFAULT_OPTIONS } from "../../plan/types.ts";
import { gpuNotYet, isAccelerator, refuseDevice } from "../device.ts";
import type { MergeRequest } from "../execute-merge.ts";
import type { OptionValues } from "../option.ts";
import type { MERGEKIT_OPTIONS } from "./mergekit-options.ts";

/** What mergekit's options ask for, whatever is to be merged. */
export type MergekitRequest = Pick<MergeRequest, "options" | "run" | "engine" | "messages">;

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
    run: { force: true, nan: "warn", sync: true },
    engine: { threads: values.numThreads, target: "auto" },
    messages: { quiet: values.quiet, json: false, plan: values.verbosity > 0 && !values.quiet },
  };
}

/** @throws SinterError that names every option that asks for a GPU. */
function refuseGpu({ cuda, gpuRich, multiGpu, device }: OptionValues<typeof MERGEKIT_OPTIONS>): void {
  const asked: Problem[] = [];
  if (cuda) asked.push(gpuNotYet("--cuda"));
  if (gpuRich) asked.push(gpuNotYet("--gpu-rich"));
  if (multiGpu) asked.push(gpuNotYet("--multi-gpu"));
  if (isAccelerator(device)) asked.push(gpuNotYet(`--device ${device}`));
  if (asked.length > 0) throw new SinterError(asked);
  // An empty device is none to mergekit.
  refuseDevice(device === "" ? undefined : device);
}
