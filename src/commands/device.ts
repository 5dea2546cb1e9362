import { type Problem, SinterError } from "../errors.ts";
import { type DirectUse, native } from "../native.ts";
import { LEAST_MEMORY } from "../run/device-memory.ts";
import { type DeviceRequest, requireDevices } from "../run/devices.ts";
import { formatBytes } from "../run/units.ts";
import { choice, type Options, size, text } from "./option.ts";
import { UsageError } from "./parse.ts";

const MEMORY_GPU_OPTION = {
  kind: "value",
  name: "memory-gpu",
  metavar: "SIZE",
  read: size,
  default: undefined,
  shownDefault: "most of what is free",
  doc: "Memory that may be taken of each GPU. Tensors that do not fit are merged in slices.",
  group: "Computation",
} as const;

/** Where to compute: shared by the commands that merge. None of it changes a byte of the output. */
export const DEVICE_OPTIONS = {
  device: {
    kind: "value",
    name: "device",
    metavar: "auto|cpu|cuda|cuda:N",
    read: text,
    default: undefined,
    shownDefault: "auto",
    doc:
      "Where to compute: cpu; cuda, or cuda:1 for the second GPU; or auto, a GPU for what sinter doctor --measure found to " +
      "be faster there. Same bytes with each.",
    group: "Computation",
  },
  cuda: {
    kind: "flag",
    name: "cuda",
    negatable: false,
    default: false,
    doc: "The same as --device cuda.",
    group: "Computation",
  },
  multiGpu: {
    kind: "flag",
    name: "multi-gpu",
    negatable: false,
    default: false,
    doc: "Spread tensors over all GPUs.",
    group: "Computation",
  },
  memoryGpu: MEMORY_GPU_OPTION,
  lowCpuMemory: {
    kind: "flag",
    name: "low-cpu-memory",
    negatable: false,
    default: false,
    doc: "With a GPU: 16 MB of host memory for copies to each instead of 192 MB.",
    group: "Computation",
  },
  directStorage: {
    kind: "value",
    name: "direct-storage",
    metavar: "auto|always|never",
    read: choice(["auto", "always", "never"]),
    default: undefined,
    shownDefault: "auto",
    doc:
      "With a GPU and GPUDirect Storage: read files straight into its memory where that is found to be faster, wherever " +
      "it works, or not at all.",
    group: "Computation",
  },
} as const satisfies Options;

export interface DeviceValues {
  device?: string | undefined;
  cuda?: boolean | undefined;
  multiGpu: boolean;
  lowCpuMemory: boolean;
  memoryGpu?: number | undefined;
  directStorage?: DirectUse | undefined;
}

/**
 * What the options ask for; undefined: the CPU alone.
 * @throws SinterError where a GPU is asked for and there is none; UsageError for what is no device, or two of them.
 */
export function deviceRequest(values: DeviceValues): DeviceRequest | undefined {
  const { cuda, multiGpu, memoryGpu: memory, lowCpuMemory: lowMemory } = values;
  if (cuda && values.device !== undefined && !/^cuda(:|$)/.test(values.device)) {
    throw new UsageError({
      code: "option-value",
      message: `--cuda asks for a GPU, and --device ${values.device} does not`,
    });
  }
  const device = values.device ?? (cuda ? "cuda" : undefined);
  if (multiGpu && device !== undefined && !/^(auto|cuda)$/.test(device)) {
    throw new UsageError({
      code: "option-value",
      message: `--multi-gpu takes all GPUs, and --device ${device} does not`,
    });
  }
  // Who asks for all GPUs and says no more wants them.
  const named = device ?? (multiGpu ? "cuda" : "auto");
  if (named === "cpu") return undefined;
  if (memory !== undefined && memory < LEAST_MEMORY) {
    throw new UsageError({
      code: "option-value",
      message: `--memory-gpu ${formatBytes(memory)} is too little for a GPU to be of use`,
      hint: `it takes ${formatBytes(LEAST_MEMORY)}; with more, tensors stay there from pass to pass. --device cpu does without`,
    });
  }
  const request: DeviceRequest = {
    mode: named === "auto" ? "auto" : "cuda",
    device: multiGpu ? "all" : deviceNumber(named),
    memory,
    lowMemory,
    direct: values.directStorage,
  };
  if (request.mode === "cuda") requireDevices(request, native());
  return request;
}

function deviceNumber(device: string): number {
  if (device === "auto") return 0;
  const match = /^cuda(?::(\d+))?$/.exec(device);
  if (match) return Number(match[1] ?? 0);
  if (isAccelerator(device)) {
    const hint = "use cuda, cpu or auto";
    throw new SinterError({ code: "no-device", message: `Sinter does not compute on ${device}`, hint });
  }
  const hint = "use auto, cpu, cuda or cuda:N";
  throw new UsageError({ code: "option-value", message: `Invalid value for --device: "${device}" is no device`, hint });
}

/** Whether a `--device` value names an accelerator: `cuda`, `cuda:1`, `xpu` … */
export function isAccelerator(device: string | undefined): boolean {
  return device !== undefined && /^(cuda|xpu|mps|hip|npu)(:\d+)?$/.test(device);
}

/** The problem of an option that asks for a GPU where a command does not use one. */
export function gpuUnused(option: string): Problem {
  return {
    code: "not-yet",
    message: `${option} asks for a GPU, which this command does not use`,
    hint: "leave it out: it computes on the CPU",
  };
}

/**
 * For commands that compute on the CPU alone: accepts `auto` and `cpu`.
 * @throws SinterError for an accelerator, UsageError for what is no device at all.
 */
export function refuseDevice(device: string | undefined): void {
  if (device === undefined || device === "auto" || device === "cpu") return;
  if (isAccelerator(device)) throw new SinterError(gpuUnused(`--device ${device}`));
  const hint = "use auto or cpu";
  throw new UsageError({ code: "option-value", message: `Invalid value for --device: "${device}" is no device`, hint });
}
