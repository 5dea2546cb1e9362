import type { Problem } from "../errors.ts";
import type { NativeError } from "../native.ts";
import { inputFactors } from "../plan/reads.ts";
import type { MergeOp, OpInput } from "../plan/types.ts";
import { lessMemory } from "./computed-on.ts";

/** What native code was doing when it failed: computing an op, or reading or writing a file. */
export interface NativeContext {
  op?: MergeOp | undefined;
  path?: string | undefined;
}

const KEEP_STILL = "leave the input models as they are while they are merged, check the disk, and run again";

/** The one place where an error of the addon becomes a Problem that names tensor, model and file. */
export function nativeProblem(error: unknown, context: NativeContext): Problem {
  const reason = error instanceof Error ? error.message : String(error);
  const { op } = context;
  switch (codeOf(error)) {
    case "SOURCE_OPEN":
      return { code: "source-open", message: `cannot open the input file: ${reason}`, ...blame(error, context) };
    case "SOURCE_FAILED":
      return {
        code: "source-failed",
        message: reason.startsWith("cannot read") ? reason : "the input file shrank or failed while it was being read",
        ...blame(error, context),
        hint: KEEP_STILL,
      };
    case "SINK_EXISTS":
      return {
        code: "sink-exists",
        message: "the temporary output file appeared while the merge ran",
        path: context.path,
        hint: "another merge seems to write to the same folder: let it end, or choose another output folder",
      };
    case "LOCKED":
      return {
        code: "output-in-use",
        message: "another merge is writing to the output folder",
        path: context.path,
        hint: "let it end, or choose another output folder",
      };
    case "SINK_OPEN":
      return { code: "sink-open", message: `cannot create the output file: ${reason}`, path: context.path };
    case "NO_SPACE":
      return {
        code: "no-space",
        message: "the disk became full while the output was written",
        path: context.path,
        tensor: op?.tensor,
        hint: "free some space or choose an output folder on another disk",
      };
    case "SINK_WRITE":
      return {
        code: "sink-write",
        message: `cannot write the output: ${reason}`,
        path: context.path,
        tensor: op?.tensor,
      };
    case "DEVICE_FAILED":
      return {
        code: "device-failed",
        message: `the GPU failed: ${reason}`,
        tensor: op?.tensor,
        hint: `run again, and what is done is kept: --device auto goes on on the CPU where a GPU fails, ${lessMemory(reason)} takes less`,
      };
    case "NO_MEMORY":
      return {
        code: "no-memory",
        message: "there is not enough memory",
        tensor: op?.tensor,
        hint: "use fewer --threads, or end other programs",
      };
    case "CANCELLED":
      return { code: "cancelled", message: "the merge was cancelled", tensor: op?.tensor };
    default:
      return {
        code: "internal",
        message: `an unexpected failure inside the engine: ${reason}`,
        tensor: op?.tensor,
        path: context.path,
        hint: "this is a fault in Sinter: please report it with the configuration",
      };
  }
}

/** The input that native code blames: its file, model and stored name, where it names one; else what is known. */
function blame(error: unknown, { op, path }: NativeContext): Pick<Problem, "path" | "model" | "tensor"> {
  const index = (error as Partial<NativeError>).source;
  const inputs = op?.inputs ?? [];
  const input = index === undefined ? inputs.find(({ view }) => view.file === path) : inputs[index];
  if (input === undefined)
    return blameFactor(inputs, index, path) ?? (op === undefined ? { path } : { tensor: op.tensor });
  return { path: input.view.file, model: input.model, tensor: input.tensor };
}

/** The adapter's tensor: factors count on after the inputs. */
function blameFactor(
  inputs: readonly OpInput[],
  index: number | undefined,
  path: string | undefined,
): Pick<Problem, "path" | "model" | "tensor"> | undefined {
  const factors = inputs.flatMap((input) => inputFactors(input).map((factor) => ({ factor, model: input.model })));
  const found =
    index === undefined ? factors.find(({ factor }) => factor.file === path) : factors[index - inputs.length];
  return found && { path: found.factor.file, model: found.model, tensor: found.factor.tensor };
}

function codeOf(error: unknown): NativeError["code"] | undefined {
  return error instanceof Error ? (error as Partial<NativeError>).code : undefined;
}
