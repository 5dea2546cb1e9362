import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Problem, Report } from "../errors.ts";
import { isFile } from "./folder-files.ts";
import { readIndex } from "./index-file.ts";
import { readTensorFile, type TensorFile } from "./tensor-file.ts";
import type { TensorView } from "./types.ts";
import type { WeightFiles } from "./weight-files.ts";

/** Of many names in one message, so many are written out. */
const NAMES_SHOWN = 5;

export interface Weights {
  /** In the order of the files' names and of the offsets in them. */
  tensors: ReadonlyMap<string, TensorView>;
  /** Paths, and sizes in bytes. */
  files: readonly { path: string; size: number }[];
}

/**
 * Reads the headers of weight files.
 * @param dir the folder that they lie in.
 * @returns undefined where something is wrong: then the report has an error.
 */
export function readWeights(dir: string, weightFiles: WeightFiles, report: Report): Weights | undefined {
  if (weightFiles.index !== undefined) return readIndexed(dir, weightFiles.index, report);
  const headers = readHeaders(dir, weightFiles.files, report);
  return headers === undefined ? undefined : joinFiles(dir, headers, { placed: new Map(), index: "" }, report);
}

function readIndexed(dir: string, index: string, report: Report): Weights | undefined {
  const placed = readIndex(join(dir, index), report);
  if (placed === undefined) return undefined;
  const shards = [...new Set(placed.values())].sort();
  const missing = shards.filter((shard) => !isFile(join(dir, shard)));
  if (missing.length > 0) reportMissing(dir, index, { missing, count: shards.length }, report);
  const headers = readHeaders(
    dir,
    shards.filter((shard) => !missing.includes(shard)),
    report,
  );
  if (headers === undefined) return undefined;
  const places = { placed, index };
  reportLacking(dir, headers, places, report);
  return joinFiles(dir, headers, places, report);
}

function reportMissing(
  dir: string,
  index: string,
  { missing, count }: { missing: readonly string[]; count: number },
  report: Report,
): void {
  const single = index.replace(/\.index\.json$/, "");
  report.error({
    code: "missing-shard",
    message: `${missing.length} of the ${count} files that ${index} names are not there: ${missing.join(", ")}`,
    path: join(dir, index),
    hint: existsSync(join(dir, single))
      ? `there is a ${single} too: remove the index if it is a leftover, or fetch the missing files`
      : "fetch the missing files",
  });
}

/** Shards by tensor, and the name of the index that says so; no shards where there is none. */
interface Places {
  placed: ReadonlyMap<string, string>;
  index: string;
}

/** By file name, in the order given; undefined where one cannot be used. */
function readHeaders(dir: string, files: readonly string[], report: Report): Map<string, TensorFile> | undefined {
  const headers = new Map<string, TensorFile>();
  for (const file of files) {
    const header = readTensorFile(join(dir, file), report);
    if (header !== undefined) headers.set(file, header);
  }
  return headers.size === files.length ? headers : undefined;
}

function reportLacking(
  dir: string,
  headers: ReadonlyMap<string, TensorFile>,
  { placed, index }: Places,
  report: Report,
): void {
  const lacking = new Map<string, string[]>();
  for (const [tensor, shard] of placed) {
    const header = headers.get(shard);
    if (header === undefined || header.tensors.has(tensor)) continue;
    const tensors = lacking.get(shard);
    if (tensors === undefined) lacking.set(shard, [tensor]);
    else tensors.push(tensor);
  }
  for (const [shard, tensors] of lacking) {
    report.error({
      code: "shard-lacks-tensor",
      message: `${index} places ${tensors.length} tensors in this file that it does not have: ${shorten(tensors)}`,
      path: join(dir, shard),
      hint: "the index and the file are from different versions of the model: fetch both again",
    });
  }
}

/**
 * One map of all tensors. Where the index places a tensor, that file's counts; tensors that it does not know are taken
 * as the model's own loader takes them, unless two files have one.
 */
function joinFiles(
  dir: string,
  headers: ReadonlyMap<string, TensorFile>,
  { placed, index }: Places,
  report: Report,
): Weights {
  const files = [...headers].map(([file, header]) => ({ path: join(dir, file), size: header.size }));
  const only = headers.size === 1 ? [...headers.values()][0] : undefined;
  if (only !== undefined && placed.size === 0) return { tensors: only.tensors, files };
  const tensors = new Map<string, TensorView>();
  const unplaced: string[] = [];
  const twice: string[] = [];
  for (const [file, header] of headers) {
    for (const [name, view] of header.tensors) {
      const shard = placed.get(name);
      if (shard === undefined) {
        if (tensors.has(name)) twice.push(name);
        unplaced.push(name);
      }
      if (shard === undefined || shard === file) tensors.set(name, view);
    }
  }
  if (twice.length > 0) report.error(inTwoFiles(twice, headers));
  if (placed.size > 0 && unplaced.length > 0) {
    report.warn({
      code: "tensor-not-in-index",
      message: `${index} does not know ${unplaced.length} tensors that its files have: ${shorten(unplaced)}`,
    });
  }
  return { tensors, files };
}

function inTwoFiles(names: readonly string[], headers: ReadonlyMap<string, TensorFile>): Problem {
  const [first = ""] = names;
  const files = [...headers].filter(([, header]) => header.tensors.has(first)).map(([file]) => file);
  const more = names.length === 1 ? "" : ` (and ${names.length - 1} more tensors)`;
  return {
    code: "tensor-in-two-files",
    message: `two files have the same tensor: ${files.join(" and ")}${more}`,
    tensor: first,
    hint: "remove the file that does not belong to the model, or add an index that names the right ones",
  };
}

function shorten(names: readonly string[]): string {
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "";
  return names.slice(0, NAMES_SHOWN).join(", ") + more;
}
