import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import type { Problem, Report } from "../errors.ts";
import { hasher } from "../hash.ts";
import { DTYPE_BYTES } from "../model/dtype.ts";
import { elementCount, type TensorView } from "../model/types.ts";
import { safetensorsHeader } from "../plan/safetensors-layout.ts";
import { torchShardBytes } from "../plan/torch-layout.ts";
import type { MergePlan } from "../plan/types.ts";
import { onFile } from "./file-error.ts";

/** What tells whether a file of the output is as it was written, apart from the tensors in it, which have their own. */
export interface WrittenFile {
  bytes: number;
  /** SHA-256 in hexadecimal: of a weight file of what belongs to no tensor, in its order; of another file of all of it. */
  sha256: string;
}

/** Prose about the merge: people write it anew, and its title is the folder's name. */
export const PROSE: ReadonlySet<string> = new Set(["README.md", "mergekit_config.yml"]);

/** @param crcs CRC-32 of each tensor, by op; used by the torch format only. @returns by the names of the shards. */
export function writtenShards(plan: MergePlan, crcs: readonly number[]): Map<string, WrittenFile> {
  return new Map(
    plan.shards.map(({ file, size, format, ops }, shard) => {
      const hash = hasher("sha256");
      if (format === "safetensors") hash.update(safetensorsHeader(plan, shard));
      else {
        const ofShard = ops.map((op) => crcs[op] ?? 0);
        for (const { bytes } of torchShardBytes(plan, shard, ofShard)) hash.update(bytes);
      }
      return [file, { bytes: size, sha256: hash.digest("hex") }];
    }),
  );
}

/**
 * Reports files of a folder that are not as they were written.
 * @param tensors everything that the folder's weight files hold.
 * @returns the names of those files.
 * @throws SinterError where one cannot be read.
 */
export function checkFiles(
  folder: string,
  files: ReadonlyMap<string, WrittenFile>,
  tensors: Iterable<TensorView>,
  report: Report,
): Set<string> {
  const within = new Map<string, TensorView[]>();
  for (const view of tensors) {
    const name = relative(resolve(folder), view.file);
    const views = within.get(name);
    if (views === undefined) within.set(name, [view]);
    else views.push(view);
  }
  const wrong = new Set<string>();
  for (const [name, written] of files) {
    const what = difference(join(folder, name), written, within.get(name) ?? []);
    if (what === undefined) continue;
    wrong.add(name);
    report.error(changed(name, what));
  }
  return wrong;
}

export function changed(name: string, what: string): Problem {
  return { code: "file-changed", message: `${name} ${what}` };
}

function difference(path: string, { bytes, sha256 }: WrittenFile, tensors: TensorView[]): string | undefined {
  if (!existsSync(path)) return "is missing";
  const { size } = statSync(path);
  if (size !== bytes) return `has ${size} bytes, and the merge wrote ${bytes}`;
  const hash = onFile("cannot read the file", path, () => hashBeside(path, size, tensors));
  if (hash === sha256) return undefined;
  return tensors.length === 0
    ? "is not what the merge wrote"
    : "is not what the merge wrote, apart from its tensors: its header";
}

const PIECE_BYTES = 1 << 20;

/** Of everything in a file that belongs to none of the tensors. */
function hashBeside(path: string, size: number, tensors: TensorView[]): string {
  const hash = hasher("sha256");
  const file = openSync(path, "r");
  try {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, size));
    const take = (from: number, to: number) => {
      for (let at = from; at < to; ) {
        const got = readSync(file, piece, 0, Math.min(piece.length, to - at), at);
        if (got === 0) return;
        hash.update(piece.subarray(0, got));
        at += got;
      }
    };
    let end = 0;
    for (const { offset, dtype, shape } of tensors.toSorted((a, b) => a.offset - b.offset)) {
      take(end, offset);
      end = Math.max(end, offset + elementCount(shape) * DTYPE_BYTES[dtype]);
    }
    take(end, size);
    return hash.digest("hex");
  } finally {
    closeSync(file);
  }
}
