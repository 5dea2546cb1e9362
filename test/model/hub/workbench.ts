import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Report } from "../../../src/errors.ts";
import { type DownloadLimits, type DownloadProgress, download } from "../../../src/model/hub/download.ts";
import { openSession, type Patience } from "../../../src/model/hub/session.ts";
import { hubSettings } from "../../../src/model/hub/settings.ts";
import { surveyModels } from "../../../src/model/hub/survey.ts";
import { type FoldersOf, findMissing } from "../../../src/model/missing.ts";
import { parseModelPath } from "../../../src/model/ref.ts";
import { type FakeHub, type Repository, startFakeHub } from "./fake-hub.ts";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** As patient as the program, in milliseconds instead of seconds. */
const PATIENCE: Patience = { tries: 4, triesUnheard: 2, firstWaitMs: 1, longestWaitMs: 4, longestAskedMs: 3000 };
const LIMITS: DownloadLimits = { connections: 3, segmentBytes: 1000 };

export interface Outcome {
  /** Codes, and the errors' and warnings' texts. */
  codes: string[];
  text: string;
  progress: DownloadProgress[];
  waits: string[];
}

export interface Attempt {
  env?: Record<string, string>;
  signal?: AbortSignal;
  silenceMs?: number;
  patience?: Partial<Patience>;
  onProgress?: (progress: DownloadProgress) => void;
  foldersOf?: FoldersOf;
}

export interface Workbench {
  hub: FakeHub;
  cacheDir: string;
  /** Adds `org/tiny` with these files. */
  offer(files: Record<string, Uint8Array | string>, more?: Partial<Repository>): void;
  /** Downloads models, by their texts, as a command does. @throws what ends the session. */
  fetch(names: string[], attempt?: Attempt): Promise<Outcome>;
  /** A path in the cache's folder of `org/tiny`. */
  path(...parts: string[]): string;
  /** The content of a file of the snapshot. */
  stored(file: string): Buffer;
  /** Forgets repositories, troubles, requests and the cache. */
  reset(): void;
  close(): void;
}

export function makeWorkbench(): Workbench {
  const cacheDir = mkdtempSync(join(realpathSync(tmpdir()), "sinter-cache-"));
  const hub = startFakeHub();
  const path = (...parts: string[]) => join(cacheDir, "models--org--tiny", ...parts);
  return {
    hub,
    cacheDir,
    path,
    offer(files, more = {}) {
      hub.repositories.set("org/tiny", { commit: COMMIT, refs: ["main"], files, ...more });
    },
    async fetch(names, attempt = {}) {
      return await fetchFrom(hub, cacheDir, names, attempt);
    },
    stored: (file) => readFileSync(path("snapshots", COMMIT, file)),
    reset() {
      hub.repositories.clear();
      hub.trouble = undefined;
      hub.seen.length = 0;
      rmSync(cacheDir, { recursive: true, force: true });
    },
    close() {
      hub.stop();
      rmSync(cacheDir, { recursive: true, force: true });
    },
  };
}

async function fetchFrom(hub: FakeHub, cacheDir: string, names: string[], attempt: Attempt): Promise<Outcome> {
  const settings = hubSettings(cacheDir, { HF_ENDPOINT: hub.endpoint, HF_HOME: cacheDir, ...attempt.env });
  const waits: string[] = [];
  const session = openSession(
    { ...settings, silenceMs: attempt.silenceMs ?? 5000 },
    attempt.signal ?? new AbortController().signal,
    (why) => void (why === undefined || waits.push(why)),
    { ...PATIENCE, ...attempt.patience },
  );
  const missing = names.map((name) => {
    const path = parseModelPath(name);
    if (typeof path === "string") throw new Error(path);
    return findMissing({ path }, cacheDir, attempt.foldersOf);
  });
  const report = new Report();
  const progress: DownloadProgress[] = [];
  const surveys = await surveyModels(
    session,
    missing.filter((model) => model !== undefined),
    report,
    attempt.foldersOf,
  );
  const onProgress = (now: DownloadProgress) => {
    progress.push(now);
    attempt.onProgress?.(now);
  };
  if (report.errors.length === 0) await download(session, surveys, onProgress, report, LIMITS);
  const problems = [...report.errors, ...report.warnings];
  return {
    codes: problems.map(({ code }) => code),
    text: problems.map(({ message, hint }) => `${message}\n${hint ?? ""}`).join("\n"),
    progress,
    waits,
  };
}

/** Bytes that tell their place. */
export function content(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 17 + seed) & 0xff);
}
