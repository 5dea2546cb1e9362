import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { type Problem, type Report, SinterError } from "../../errors.ts";
import { type HubFile, resolveUrl } from "./listing.ts";
import { lockFile } from "./lock.ts";
import { openPartial, type Partial } from "./partial.ts";
import type { HubSession } from "./session.ts";
import { makeSlots, type Slots } from "./slots.ts";
import { fileSource } from "./source.ts";
import { type BlobPlace, blobPlace, bytesBegun, hasBlob, publishSnapshot } from "./store.ts";
import { explain, reportFor, type Survey, wrongChecksum } from "./survey.ts";
import { transfer } from "./transfer.ts";

/** How much is fetched at a time. Their product is held in memory: 64 MiB. */
export interface DownloadLimits {
  connections: number;
  /** Most bytes that one request brings. */
  segmentBytes: number;
}

export const LIMITS: DownloadLimits = { connections: 8, segmentBytes: 8 * 2 ** 20 };

export interface DownloadProgress {
  /** Bytes that are on the disk, and bytes of all files together. */
  bytes: number;
  totalBytes: number;
  /** Those of `bytes` that an earlier run had fetched. */
  earlierBytes: number;
  /** The file that grew last. */
  file: string;
}

/** A file that the cache lacks, or has only the beginning of. */
export interface MissingFile {
  survey: Survey;
  file: HubFile;
  place: BlobPlace;
  /** Bytes of it that an interrupted download left. */
  begun: number;
}

/** The files that are to be fetched, each content once. */
export function missingFiles(cacheDir: string, surveys: readonly Survey[]): MissingFile[] {
  const missing = new Map<string, MissingFile>();
  for (const survey of surveys) {
    for (const file of survey.files) {
      const place = blobPlace(cacheDir, survey.model.id, file);
      if (!hasBlob(place, file)) missing.set(place.blob, { survey, file, place, begun: bytesBegun(place, file) });
    }
  }
  return [...missing.values()];
}

/**
 * Fetches what the cache lacks of the surveyed models; each gets its snapshot when all of its files are there. The first
 * thing that goes wrong stops everything, and is in the report then; what came until then stays for the next run.
 * @throws the session's reason when it ends.
 */
export async function download(
  session: HubSession,
  surveys: readonly Survey[],
  onProgress: (progress: DownloadProgress) => void,
  report: Report,
  limits: DownloadLimits = LIMITS,
): Promise<void> {
  const { cacheDir } = session.settings;
  const stop = new AbortController();
  const own = { ...session, signal: AbortSignal.any([session.signal, stop.signal]) };
  const slots = makeSlots(limits.connections, limits.segmentBytes);
  const queue = missingFiles(cacheDir, surveys);
  const onLength = trackProgress(queue, onProgress);
  const unpublished = new Set(surveys);

  /** Runs a step for a model. Its failure stops all others. */
  const guard = async (survey: Survey, step: () => Promise<void> | void) => {
    try {
      await step();
    } catch (error) {
      if (own.signal.aborted) return;
      stop.abort();
      for (const problem of await explainAny(session, survey, error)) reportFor(survey.model, problem, report);
    }
  };
  const publishWhole = async () => {
    for (const survey of unpublished) {
      if (!isWhole(cacheDir, survey)) continue;
      unpublished.delete(survey);
      await guard(survey, () => publishSnapshot(cacheDir, survey));
    }
  };
  const work = async () => {
    for (let next = queue.shift(); next !== undefined && !own.signal.aborted; next = queue.shift()) {
      const missing = next;
      await guard(missing.survey, () => fetchBlob(own, missing, slots, (bytes) => onLength(missing, bytes)));
      await publishWhole();
    }
  };
  await publishWhole();
  await Promise.all(Array.from({ length: limits.connections }, work));
  session.signal.throwIfAborted();
}

function isWhole(cacheDir: string, { model, files }: Survey): boolean {
  return files.every((file) => hasBlob(blobPlace(cacheDir, model.id, file), file));
}

function trackProgress(missing: readonly MissingFile[], onProgress: (progress: DownloadProgress) => void) {
  const known = new Map(missing.map((item) => [item, item.begun]));
  const totalBytes = missing.reduce((sum, { file }) => sum + file.size, 0);
  const earlierBytes = missing.reduce((sum, { begun }) => sum + begun, 0);
  let bytes = earlierBytes;
  return (item: MissingFile, length: number) => {
    bytes += length - (known.get(item) ?? 0);
    known.set(item, length);
    onProgress({ bytes, totalBytes, earlierBytes, file: item.file.path });
  };
}

/** One file, to its end, under its lock. */
async function fetchBlob(
  session: HubSession,
  { survey, file, place }: MissingFile,
  slots: Slots,
  onLength: (bytes: number) => void,
): Promise<void> {
  mkdirSync(dirname(place.blob), { recursive: true });
  const unlock = await lockFile(place.lock, session.signal, () =>
    session.onWait(`another program is downloading ${file.path}: waiting for it`),
  );
  try {
    if (hasBlob(place, file)) return onLength(file.size); // It was, while we waited.
    const source = fileSource(resolveUrl(session, survey.model.id, survey.commit, file.path), file.size);
    const partial = await openPartial(place.incomplete, file, session.signal, onLength);
    await settle(partial, place.blob, file, () => transfer(file, source, partial, slots, session));
  } finally {
    unlock();
  }
}

/**
 * Brings a file to its end and gives it its name. One whose checksum is wrong is fetched once more from the first byte:
 * a disk or an earlier run may be to blame.
 * @throws SinterError where it is wrong again, and the file is gone then; else what `bring` throws, and the file stays.
 */
async function settle(partial: Partial, blob: string, file: HubFile, bring: () => Promise<boolean>): Promise<void> {
  let isRight: boolean;
  try {
    isRight = await bring();
    if (!isRight) {
      await partial.restart();
      isRight = await bring();
    }
  } catch (error) {
    await partial.close();
    throw error;
  }
  if (isRight) return await partial.commit(blob);
  await partial.remove();
  throw new SinterError(wrongChecksum(file));
}

const DISK_TROUBLE: Readonly<Record<string, { what: string; hint: string }>> = {
  ENOSPC: { what: "the disk is full", hint: "free some space, or choose another cache with --transformers-cache" },
  EDQUOT: { what: "the disk quota is used up", hint: "choose another cache with --transformers-cache or HF_HUB_CACHE" },
  EACCES: { what: "permission denied", hint: "choose a cache of your own with --transformers-cache or HF_HUB_CACHE" },
  EROFS: { what: "the disk is read-only", hint: "choose another cache with --transformers-cache or HF_HUB_CACHE" },
  EPERM: { what: "not permitted", hint: "the cache needs a file system with symbolic links: see --transformers-cache" },
};

/** What went wrong, with the Hub or with the disk. @throws what is neither. */
async function explainAny(session: HubSession, { model }: Survey, error: unknown): Promise<readonly Problem[]> {
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined || error instanceof SinterError) return await explain(session, model, error);
  const trouble = DISK_TROUBLE[code ?? ""];
  const message = `cannot write to the Hugging Face cache: ${trouble?.what ?? (error as Error).message}`;
  return [{ code: "cache-failed", message, path, hint: trouble?.hint }];
}
