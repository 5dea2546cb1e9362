import { type Problem, SinterError } from "../errors.ts";
import { UsageError } from "./parse.ts";

/** The problem of an option that asks for a GPU. */
export function gpuNotYet(option: string): Problem {
  return {
    code: "not-yet",
    message: `${option} asks for a GPU, which this version of Sinter does not use yet`,
    hint: "leave it out: on the CPU Sinter merges about as fast as the disk reads and writes",
  };
}

/** Whether a `--device` value names an accelerator: `cuda`, `cuda:1`, `xpu` … */
export function isAccelerator(device: string | undefined): boolean {
  return device !== undefined && /^(cuda|xpu|mps|hip|npu)(:\d+)?$/.test(device);
}

/**
 * Accepts `auto` and `cpu`.
 * @throws SinterError for an accelerator, UsageError for what is no device at all.
 */
export function refuseDevice(device: string | undefined): void {
  if (device === undefined || device === "auto" || device === "cpu") return;
  if (isAccelerator(device)) throw new SinterError(gpuNotYet(`--device ${device}`));
  const hint = "use auto or cpu";
  throw new UsageError({ code: "option-value", message: `Invalid value for --device: "${device}" is no device`, hint });
}
