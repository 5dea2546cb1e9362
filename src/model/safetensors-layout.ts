import type { Problem, Report } from "../errors.ts";
import { DTYPE_BYTES, isDtype } from "./dtype.ts";
import { ORIGINAL_WEIGHTS, quantisedDtype } from "./quantised.ts";
import type { HeaderEntry } from "./safetensors-entries.ts";

const SUPPORTED = Object.keys(DTYPE_BYTES).join(", ");

/**
 * Checks each tensor by itself: dtype, shape and offsets are usable, and agree.
 * @returns whether all offsets are usable, so that the order of the tensors in the file means something.
 */
export function checkEntries(entries: readonly HeaderEntry[], report: Report): boolean {
  const unsupported = new Map<string, HeaderEntry[]>();
  let offsetsAreUsable = true;
  for (const entry of entries) {
    if (!isSize(entry.begin) || !isSize(entry.end) || entry.begin > entry.end) {
      offsetsAreUsable = false;
      report.error(badOffsets(entry));
    } else if (!isDtype(entry.dtype)) {
      const sameDtype = unsupported.get(entry.dtype);
      if (sameDtype === undefined) unsupported.set(entry.dtype, [entry]);
      else sameDtype.push(entry);
    } else {
      checkByteLength(entry, DTYPE_BYTES[entry.dtype], report);
    }
  }
  for (const [dtype, tensors] of unsupported) report.error(unsupportedDtype(dtype, tensors));
  return offsetsAreUsable;
}

/** Sizes and offsets beyond 2^53 - 1 are not exact as numbers, and no file is that large. */
function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function checkByteLength(entry: HeaderEntry, elementBytes: number, report: Report): void {
  let count = 1;
  for (const size of entry.shape) {
    count *= size;
    if (!isSize(size) || !isSize(count)) {
      report.error({
        code: "safetensors-shape",
        message: `shape ${list(entry.shape)} is not a list of whole numbers whose product is below 2^53`,
        tensor: entry.name,
      });
      return;
    }
  }
  const needed = count * elementBytes;
  const given = entry.end - entry.begin;
  if (needed !== given) {
    report.error({
      code: "safetensors-byte-length",
      message: `shape ${list(entry.shape)} in ${entry.dtype} takes ${needed} bytes, but data_offsets span ${given}`,
      tensor: entry.name,
    });
  }
}

function badOffsets(entry: HeaderEntry): Problem {
  return {
    code: "safetensors-offsets",
    message: `data_offsets ${list([entry.begin, entry.end])} are not two whole numbers in ascending order`,
    tensor: entry.name,
  };
}

function unsupportedDtype(dtype: string, tensors: readonly HeaderEntry[]): Problem {
  const more = tensors.length === 1 ? "" : ` (and ${tensors.length - 1} more tensors)`;
  const tensor = tensors[0]?.name;
  return quantisedDtype(dtype)
    ? {
        code: "quantised-weights",
        message: `the weights are quantised (${dtype}), and quantised weights cannot be merged${more}`,
        tensor,
        hint: ORIGINAL_WEIGHTS,
      }
    : {
        code: "unsupported-dtype",
        message: `unsupported dtype ${dtype}${more}`,
        tensor,
        hint: `supported: ${SUPPORTED}`,
      };
}

/**
 * Checks that the tensors fill the data section from its first byte to its last, without gaps.
 * @param entries in the order of their offsets.
 * @param dataBytes size of the data section: what the file holds after the header.
 */
export function checkLayout(entries: readonly HeaderEntry[], dataBytes: number, report: Report): void {
  let end = 0;
  let before: HeaderEntry | undefined;
  for (const entry of entries) {
    if (entry.begin < end) report.error(overlap(entry, before, end - entry.begin));
    if (entry.begin > end) {
      report.error({
        code: "safetensors-hole",
        message: `${entry.begin - end} bytes before the tensor's data belong to no tensor`,
        tensor: entry.name,
      });
    }
    if (entry.end >= end) {
      end = entry.end;
      before = entry;
    }
  }
  if (end > dataBytes) {
    report.error({
      code: "safetensors-truncated",
      message: `the file is truncated: ${end - dataBytes} of the ${end} bytes of tensor data are missing`,
      hint: "fetch or copy the file again",
    });
  }
  if (end < dataBytes) {
    report.error({
      code: "safetensors-trailing-bytes",
      message: `${dataBytes - end} bytes at the end of the file belong to no tensor`,
    });
  }
}

function overlap(entry: HeaderEntry, before: HeaderEntry | undefined, bytes: number): Problem {
  return {
    code: "safetensors-overlap",
    message: `the tensor's data overlaps that of "${before?.name ?? ""}" by ${bytes} bytes`,
    tensor: entry.name,
  };
}

function list(numbers: readonly number[]): string {
  return `[${numbers.join(", ")}]`;
}
