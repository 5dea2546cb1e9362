import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { homeFolder } from "./home.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** `org/name` or `name`, in the characters that the Hub allows. */
const REPOSITORY = /^[A-Za-z0-9_][\w.-]*(\/[A-Za-z0-9_][\w.-]*)?$/;
const SCHEME = "hf://";

/** What a text means on the Hub: `org/name`, with or without `hf://` before it. Undefined where it can mean nothing there. */
export function parseHubId(text: string): string | undefined {
  const id = text.startsWith(SCHEME) ? text.slice(SCHEME.length) : text;
  return REPOSITORY.test(id) && !id.includes("--") && !id.includes("..") ? id : undefined;
}

/** The folder of the `models--…` folders: the one given, else what Hugging Face's own programs would use. */
export function hubCacheDir(given: string | undefined, env: Environment = process.env): string {
  if (given) return expandHome(given);
  const named = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE;
  return named ? expandHome(named) : join(huggingFaceHome(env), "hub");
}

/** Where Hugging Face's programs keep the cache, the user's token and more. */
export function huggingFaceHome(env: Environment = process.env): string {
  if (env.HF_HOME) return expandHome(env.HF_HOME);
  const userCache = env.XDG_CACHE_HOME ? expandHome(env.XDG_CACHE_HOME) : join(homeFolder(), ".cache");
  return join(userCache, "huggingface");
}

/** Whether the user wants nothing to be asked of the Hub. */
export function isOffline(env: Environment = process.env): boolean {
  return isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE);
}

/** A switch among the environment's variables, in the words that Hugging Face's programs take for "on". */
export function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(1|on|yes|true)$/i.test(value);
}

/** A repository's folder in the cache. */
export function repositoryDir(cacheDir: string, id: string): string {
  return join(cacheDir, `models--${id.replace("/", "--")}`);
}

/** `~` and `~/…` as a shell reads them. */
export function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homeFolder(), path.slice(1)) : path;
}

/** A snapshot in the cache, or why there is none: where it would be, and the branches and tags that are there. */
export type Snapshot = { dir: string } | { dir: undefined; lookedIn: string; revisions: readonly string[] };

/**
 * Finds a repository's files as the Hub's programs lay them out: `refs/<revision>` holds a commit,
 * `snapshots/<commit>` the files.
 * @param id `org/name`, as parseHubId returns it.
 * @param revision a branch, a tag or a commit.
 */
export function findSnapshot(cacheDir: string, id: string, revision = "main"): Snapshot {
  const repository = repositoryDir(cacheDir, id);
  const commit = isRevision(revision) ? (readRef(join(repository, "refs", revision)) ?? revision) : undefined;
  if (commit !== undefined && !commit.includes("/") && commit !== "..") {
    const dir = join(repository, "snapshots", commit);
    if (isFolder(dir)) return { dir };
  }
  return { dir: undefined, lookedIn: repository, revisions: listRefs(join(repository, "refs")) };
}

/** Whether a text can be a branch, a tag or a commit: `refs/<text>` must be a path below `refs`. */
export function isRevision(text: string): boolean {
  const hasControl = /[\p{Cc}\\]/u.test(text);
  return !hasControl && !text.split("/").some((part) => part === "" || part === "." || part === "..");
}

function readRef(path: string): string | undefined {
  if (!existsSync(path) || isFolder(path)) return undefined;
  return readFileSync(path, "utf8").trim();
}

function listRefs(dir: string): string[] {
  if (!isFolder(dir)) return [];
  return readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((name) => !isFolder(join(dir, name)))
    .sort();
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
