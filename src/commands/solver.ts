import { SinterError } from "../errors.ts";
import type { Addon } from "../native.ts";
import { offering, text } from "./option.ts";
import { UsageError } from "./parse.ts";

/** The option that says where singular vectors are found. */
export const SOLVER_OPTION = {
  kind: "value",
  name: "device",
  metavar: "cpu|cuda[:N]",
  read: offering(["cpu", "cuda"], text),
  default: "cpu",
  shownDefault: "cpu",
  doc:
    "Where singular vectors of large modules are found: cuda is NVIDIA's cuSOLVER (11 or 12), which is opened at run time; " +
    "SINTER_CUDA_LIBRARIES names its folders where the system does not know them.",
  group: "Computation",
} as const;

/**
 * The device that decompositions are asked to run on, counted from 0; undefined: the CPU.
 * @throws UsageError for what is no such device.
 */
export function solverDevice(device: string | undefined, cuda = false): number | undefined {
  if (device === undefined || device === "" || device === "auto") return cuda ? 0 : undefined;
  if (device === "cpu") return undefined;
  const [, number = "0"] = /^cuda(?::(\d{1,3}))?$/.exec(device) ?? [];
  if (device.startsWith("cuda") && (device === "cuda" || device === `cuda:${number}`)) return Number(number);
  throw new UsageError({
    code: "option-value",
    message: `Invalid value for --device: "${device}" is no device that decompositions run on`,
    hint: "use cpu, cuda or cuda:N",
  });
}

/**
 * Opens cuSOLVER. @returns versions and device, for people. @throws SinterError where it is not there, with the reason.
 */
export function openSolver(addon: Addon, device: number): string {
  try {
    return addon.openSolver(process.env.SINTER_CUDA_LIBRARIES ?? "", device);
  } catch (error) {
    throw new SinterError({
      code: "no-solver",
      message: `there is no cuSOLVER to decompose with: ${error instanceof Error ? error.message : String(error)}`,
      hint: "leave --device and --cuda out: on the CPU rank 32 of all layers of a small model takes seconds",
    });
  }
}
