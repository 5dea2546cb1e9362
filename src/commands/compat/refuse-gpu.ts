import { type Problem, SinterError } from "../../errors.ts";
import { gpuUnused, isAccelerator, refuseDevice } from "../device.ts";
import type { OptionValues } from "../option.ts";
import type { MERGEKIT_OPTIONS } from "./mergekit-options.ts";

type Values = Pick<OptionValues<typeof MERGEKIT_OPTIONS>, "cuda" | "gpuRich" | "multiGpu" | "device">;

/** For programs that compute on the CPU alone. @throws SinterError that names every option that asks for a GPU. */
export function refuseGpu({ cuda, gpuRich, multiGpu, device }: Values): void {
  const asked: Problem[] = [];
  if (cuda) asked.push(gpuUnused("--cuda"));
  if (gpuRich) asked.push(gpuUnused("--gpu-rich"));
  if (multiGpu) asked.push(gpuUnused("--multi-gpu"));
  if (isAccelerator(device)) asked.push(gpuUnused(`--device ${device}`));
  if (asked.length > 0) throw new SinterError(asked);
  // An empty device is none to mergekit.
  refuseDevice(device === "" ? undefined : device);
}
