import {
  lstatSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { repositoryDir } from "../hub-cache.ts";
import { absenceMark } from "../missing.ts";
import type { HubFile } from "./listing.ts";
import type { Survey } from "./survey.ts";

/** Where a file of a repository is kept: its content under its checksum, whatever names and commits it has. */
export interface BlobPlace {
  blob: string;
  incomplete: string;
  lock: string;
}

export function blobPlace(cacheDir: string, id: string, file: HubFile): BlobPlace {
  const repository = repositoryDir(cacheDir, id);
  const blob = join(repository, "blobs", file.etag);
  const lock = join(repositoryDir(join(cacheDir, ".locks"), id), `${file.etag}.lock`);
  return { blob, incomplete: `${blob}.incomplete`, lock };
}

/** Whether the whole file is there. */
export function hasBlob({ blob }: BlobPlace, file: HubFile): boolean {
  return statSync(blob, { throwIfNoEntry: false })?.size === file.size;
}

/** Bytes that an interrupted download left. */
export function bytesBegun({ incomplete }: BlobPlace, file: HubFile): number {
  const size = statSync(incomplete, { throwIfNoEntry: false })?.size ?? 0;
  return size > file.size ? 0 : size;
}

/** Bytes that the file system of a folder has room for; undefined where it does not say. */
export function freeBytes(dir: string): number | undefined {
  for (let path = dir; ; path = dirname(path)) {
    try {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    } catch {
      if (dirname(path) === path) return undefined;
    }
  }
}

/**
 * Makes a commit's folder, once all of its blobs are there: links to them, then the note of what the repository does not
 * have, at last what the branch or tag stands for.
 */
export function publishSnapshot(cacheDir: string, { model, commit, files, hasTokenizer }: Survey): void {
  const repository = repositoryDir(cacheDir, model.id);
  const dir = join(repository, "snapshots", commit);
  mkdirSync(dir, { recursive: true });
  for (const file of files) linkBlob(blobPlace(cacheDir, model.id, file).blob, join(dir, file.path));
  if (!hasTokenizer) writeWhole(absenceMark(dir, "tokenizer_config.json"), "");
  if (model.revision !== commit) writeWhole(join(repository, "refs", model.revision), commit);
}

/** A relative link, so that the cache can be moved. */
function linkBlob(blob: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const target = relative(dirname(path), blob);
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() && readlinkSync(path) === target) return;
  const temporary = `${path}.${process.pid}.tmp`;
  symlinkSync(target, temporary);
  renameSync(temporary, path);
}

/** No reader sees half of it. */
function writeWhole(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}
