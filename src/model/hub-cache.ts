import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

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
  if (env.HF_HUB_CACHE) return expandHome(env.HF_HUB_CACHE);
  if (env.HF_HOME) return join(expandHome(env.HF_HOME), "hub");
  const userCache = env.XDG_CACHE_HOME ? expandHome(env.XDG_CACHE_HOME) : join(homedir(), ".cache");
  return join(userCache, "huggingface", "hub");
}

/** `~` and `~/…` as a shell reads them. */
export function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
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
  const repository = join(cacheDir, `models--${id.replace("/", "--")}`);
  const isInside = revision !== "" && !revision.split("/").some((part) => part === "" || part === "." || part === "..");
  const commit = isInside ? (readRef(join(repository, "refs", revision)) ?? revision) : undefined;
  if (commit !== undefined && !commit.includes("/") && commit !== "..") {
    const dir = join(repository, "snapshots", commit);
    if (isFolder(dir)) return { dir };
  }
  return { dir: undefined, lookedIn: repository, revisions: listRefs(join(repository, "refs")) };
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
