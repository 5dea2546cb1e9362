import type { Problem, Report } from "../errors.ts";
import { readStart, withByteFile } from "./byte-file.ts";
import { FormatError } from "./format-error.ts";
import { ggufRefusal } from "./locate.ts";
import { readSafetensorsHeader } from "./safetensors.ts";
import type { TensorView } from "./types.ts";

/** One file of tensors, in whichever format. */
export interface TensorFile {
  /** In the order of their offsets. */
  tensors: ReadonlyMap<string, TensorView>;
  /** Of the whole file, in bytes. */
  size: number;
}

type Kind = "safetensors" | "torch" | "gguf" | "lfs-pointer";

const START_BYTES = 24;
const LFS_POINTER = "version https://git-lfs";

/**
 * Reads where the tensors of a file lie. The file's first bytes say which format it is in; where they do not, its name does.
 * @returns undefined where the file cannot be used: then the report has at least one error, each with the path.
 */
export function readTensorFile(path: string, report: Report): TensorFile | undefined {
  switch (kindByStart(path) ?? kindByName(path)) {
    case "safetensors":
      return readSafetensorsHeader(path, report);
    case "torch":
      return torchReader().readTorchFile(path, report);
    case "gguf":
      report.error(ggufRefusal(path));
      return undefined;
    case "lfs-pointer":
      report.error(lfsRefusal(path));
      return undefined;
  }
}

/** Loaded where it is needed: most models have no such file, and its modules take milliseconds. */
function torchReader(): typeof import("./torch/torch-file.ts") {
  return require("./torch/torch-file.ts");
}

function kindByName(path: string): Kind {
  return path.endsWith(".safetensors") ? "safetensors" : "torch";
}

/** Undefined also where the file cannot be read: its reader says why. */
function kindByStart(path: string): Kind | undefined {
  try {
    return withByteFile(path, (file) => kindOf(readStart(file, START_BYTES)));
  } catch (error) {
    if (error instanceof FormatError || (error instanceof Error && "syscall" in error)) return undefined;
    throw error;
  }
}

function kindOf(start: Buffer): Kind | undefined {
  const magic = start.toString("latin1", 0, 4);
  if (magic === "GGUF" || magic === "lmgg" || magic === "tjgg") return "gguf";
  if (start.toString("latin1").startsWith(LFS_POINTER)) return "lfs-pointer";
  // A header of less than 4 GiB, as JSON: checked first, since its length may begin as a pickle does.
  if (start.length > 8 && start.readUInt32LE(4) === 0 && start[8] === 0x7b) return "safetensors";
  return magic === "PK\u0003\u0004" || start[0] === 0x80 ? "torch" : undefined;
}

function lfsRefusal(path: string): Problem {
  return {
    code: "lfs-pointer",
    message: "the file is a Git LFS pointer: it says where the weights are, but does not hold them",
    path,
    hint: "fetch the weights themselves: run git lfs pull in the model's folder, or download the file",
  };
}
