import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Report } from "../errors.ts";
import { INDEX_FILE, readIndex } from "./index-file.ts";
import { readSafetensorsHeader, type SafetensorsHeader } from "./safetensors.ts";
import type { TensorView } from "./types.ts";

const SINGLE_FILE = "model.safetensors";
/** Of many names in one message, so many are written out. */
const NAMES_SHOWN = 5;

export interface Weights {
  /** In the order of the files' names and of the offsets in them. */
  tensors: ReadonlyMap<string, TensorView>;
  /** Paths, and sizes in bytes. */
  files: readonly { path: string; size: number }[];
}

/**
 * Reads the headers of a model's safetensors files: the shards that an index names, else `model.safetensors`, else every
 * `*.safetensors` there is.
 * @param names the files in `dir`; at least one is an index or safetensors.
 * @returns undefined where something is wrong: then the report has an error.
 */
export function readWeights(dir: string, names: readonly string[], report: Report): Weights | undefined {
  if (names.includes(INDEX_FILE)) return readIndexed(dir, names, report);
  const files = names.includes(SINGLE_FILE)
    ? [SINGLE_FILE]
    : names.filter((name) => name.endsWith(".safetensors")).sort();
  const headers = readHeaders(dir, files, report);
  return headers === undefined ? undefined : joinFiles(dir, headers, new Map(), report);
}

function readIndexed(dir: string, names: readonly string[], report: Report): Weights | undefined {
  const placed = readIndex(join(dir, INDEX_FILE), report);
  if (placed === undefined) return undefined;
  const shards = [...new Set(placed.values())].sort();
  const missing = shards.filter((shard) => !existsSync(join(dir, shard)));
  if (missing.length > 0) {
    const isStale = names.includes(SINGLE_FILE);
    report.error({
      code: "missing-shard",
      message: `${missing.length} of the ${shards.length} files that ${INDEX_FILE} names are not there: ${missing.join(", ")}`,
      path: join(dir, INDEX_FILE),
      hint: isStale
        ? `there is a ${SINGLE_FILE} too: remove the index if it is a leftover, or fetch the missing files`
        : "fetch the missing files",
    });
  }
  const headers = readHeaders(
    dir,
    shards.filter((shard) => !missing.includes(shard)),
    report,
  );
  if (headers === undefined) return undefined;
  reportLacking(dir, headers, placed, report);
  return joinFiles(dir, headers, placed, report);
}

/** By file name, in the order given; undefined where one cannot be used. */
function readHeaders(
  dir: string,
  files: readonly string[],
  report: Report,
): Map<string, SafetensorsHeader> | undefined {
  const headers = new Map<string, SafetensorsHeader>();
  for (const file of files) {
    const header = readSafetensorsHeader(join(dir, file), report);
    if (header !== undefined) headers.set(file, header);
  }
  return headers.size === files.length ? headers : undefined;
}

function reportLacking(
  dir: string,
  headers: ReadonlyMap<string, SafetensorsHeader>,
  placed: ReadonlyMap<string, string>,
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
      message: `${INDEX_FILE} places ${tensors.length} tensors in this file that it does not have: ${shorten(tensors)}`,
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
  headers: ReadonlyMap<string, SafetensorsHeader>,
  placed: ReadonlyMap<string, string>,
  report: Report,
): Weights {
  const files = [...headers].map(([file, header]) => ({ path: join(dir, file), size: header.size }));
  const only = headers.size === 1 ? [...headers.values()][0] : undefined;
  if (only !== undefined && placed.size === 0) return { tensors: only.tensors, files };
  const tensors = new Map<string, TensorView>();
  const unplaced: string[] = [];
  for (const [file, header] of headers) {
    for (const [name, view] of header.tensors) {
      const shard = placed.get(name);
      if (shard === undefined) {
        if (tensors.has(name)) report.error(twice(name, tensors.get(name), view));
        unplaced.push(name);
      }
      if (shard === undefined || shard === file) tensors.set(name, view);
    }
  }
  if (placed.size > 0 && unplaced.length > 0) {
    report.warn({
      code: "tensor-not-in-index",
      message: `${INDEX_FILE} does not know ${unplaced.length} tensors that its files have: ${shorten(unplaced)}`,
    });
  }
  return { tensors, files };
}

function twice(name: string, first: TensorView | undefined, second: TensorView) {
  return {
    code: "tensor-in-two-files",
    message: `two files have the same tensor: ${first?.file ?? ""} and ${second.file}`,
    tensor: name,
    hint: "remove the file that does not belong to the model, or add an index that names the right ones",
  };
}

function shorten(names: readonly string[]): string {
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "";
  return names.slice(0, NAMES_SHOWN).join(", ") + more;
}
