import type { Problem, Report } from "../../errors.ts";
import { type ByteFile, readStart, withByteFile } from "../byte-file.ts";
import { FormatError } from "../format-error.ts";
import type { TensorView } from "../types.ts";
import { readArchive } from "./archive.ts";
import type { TorchContainer } from "./container.ts";
import { readLegacy } from "./legacy.ts";
import { findStateDict } from "./state-dict.ts";
import { viewsOf } from "./tensor-views.ts";

export interface TorchFile {
  /** In the order of their offsets. Names that share a storage have views of the same bytes. */
  tensors: Map<string, TensorView>;
  /** Of the whole file, in bytes. */
  size: number;
}

const ZIP = "PK\u0003\u0004";
const PICKLE = 0x80;
/** Of many names in one message, so many are written out. */
const NAMES_SHOWN = 5;

/**
 * Reads what a file of `torch.save` says about its tensors, in the format of PyTorch 1.6 and later or the one before;
 * no tensor byte is read, and nothing in the file is executed.
 * @returns undefined where the file cannot be used: then the report has at least one error, each with the path.
 */
export function readTorchFile(path: string, report: Report): TorchFile | undefined {
  try {
    return withByteFile(path, (file) => parseTorchFile(file, report));
  } catch (error) {
    report.error(problemOf(error, path));
    return undefined;
  }
}

/** As `readTorchFile`, from an open file. @throws FormatError instead of reporting where the file as a whole is bad. */
export function parseTorchFile(file: ByteFile, report: Report): TorchFile | undefined {
  const container = readContainer(file);
  const { tensors, unwrapped, leftOut } = findStateDict(container.root);
  const { views, problems } = viewsOf(tensors, container, file.path);
  for (const problem of problems) report.error({ ...problem, path: file.path });
  if (problems.length > 0) return undefined;
  if (leftOut > 0) {
    report.warn({
      code: "torch-left-out",
      message: `the model is what lies under "${unwrapped.join(".")}": ${leftOut} tensors beside it are left out`,
      path: file.path,
    });
  }
  if (container.foreign.length > 0) {
    report.warn({
      code: "torch-foreign",
      message: `what stands beside the model's tensors is of classes that none of them needs: ${namesOf(container.foreign)}`,
      path: file.path,
      hint: "it is left out, and nothing of it was run; but load such a file with other programs only where you trust it",
    });
  }
  return { tensors: views, size: file.size };
}

function namesOf(names: readonly string[]): string {
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "";
  return names.slice(0, NAMES_SHOWN).join(", ") + more;
}

function readContainer(file: ByteFile): TorchContainer {
  const start = readStart(file, ZIP.length);
  if (start.toString("latin1") === ZIP) return readArchive(file);
  if (start[0] === PICKLE) return readLegacy(file);
  throw new FormatError(
    "torch-not-a-checkpoint",
    "the file is none that torch.save wrote: neither a zip archive nor a pickle",
  );
}

function problemOf(error: unknown, path: string): Problem {
  if (error instanceof FormatError) return { code: error.code, message: error.message, hint: error.hint, path };
  if (!(error instanceof Error && "syscall" in error)) throw error;
  return { code: "unreadable-file", message: `cannot read the file: ${error.message}`, path };
}
