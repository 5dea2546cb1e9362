import { readdirSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { nearest, type Problem, type Report } from "../errors.ts";
import { expandHome, findSnapshot, hubCacheDir, isFolder, isOffline, parseHubId } from "./hub-cache.ts";
import { formatModelPath, type ModelPath } from "./ref.ts";

/**
 * The folder that a model's name stands for: a local folder where there is one (relative to the working directory, `~`
 * being the user's own), else a snapshot in the Hugging Face cache.
 * @param cacheDir the folder of the cache's `models--…` folders; undefined: the environment's.
 * @returns an absolute path; undefined where there is no such folder: then the report has an error.
 */
export function locateModel(named: ModelPath, cacheDir: string | undefined, report: Report): string | undefined {
  const local = resolve(expandHome(named.path));
  const stat = statSync(local, { throwIfNoEntry: false });
  if (stat?.isDirectory()) {
    if (named.revision !== undefined) {
      report.warn({
        code: "revision-of-folder",
        message: `a local folder has no revisions: "@${named.revision}" means nothing`,
      });
    }
    return local;
  }
  if (stat !== undefined) {
    report.error(notAFolder(named.path));
    return undefined;
  }
  const id = parseHubId(named.path);
  if (id === undefined) {
    report.error(noFolder(named.path, local));
    return undefined;
  }
  const snapshot = findSnapshot(resolve(hubCacheDir(cacheDir)), id, named.revision);
  if (snapshot.dir === undefined) report.error(notCached(named, id, cacheDir, local, snapshot));
  return snapshot.dir;
}

function notAFolder(path: string): Problem {
  if (path.endsWith(".gguf")) return ggufRefusal(path);
  return {
    code: "model-not-a-folder",
    message: `"${path}" is a file, and a model is a folder with a config.json`,
    hint: "name the folder that the file lies in",
  };
}

/** GGUF files hold quantised weights, in names and layouts of their own. */
export function ggufRefusal(path: string): Problem {
  return {
    code: "gguf-model",
    message: `"${path}" is in GGUF format, which cannot be merged`,
    hint: "use the model's original safetensors weights, and convert the merged model to GGUF",
  };
}

function noFolder(path: string, local: string): Problem {
  return {
    code: "model-not-found",
    message: `there is no folder "${path}": looked for ${local}`,
    hint: didYouMean(local),
  };
}

/** A question for a slip of the keyboard, where something beside the path has nearly its name. */
export function didYouMean(local: string): string | undefined {
  const parent = dirname(local);
  const similar = isFolder(parent) ? nearest(basename(local), readdirSync(parent)) : undefined;
  return similar === undefined ? undefined : `did you mean "${similar}"?`;
}

function notCached(
  named: ModelPath,
  id: string,
  cacheDir: string | undefined,
  local: string,
  missing: { lookedIn: string; revisions: readonly string[] },
): Problem {
  const revision = named.revision === undefined ? "" : ` --revision ${named.revision}`;
  const folder = cacheDir === undefined ? "" : ` --cache-dir ${cacheDir}`;
  const command = `hf download ${id}${revision}${folder}`;
  const places = named.path.startsWith("hf://") ? missing.lookedIn : `${local} and ${missing.lookedIn}`;
  const download = isOffline()
    ? `nothing is downloaded, because HF_HUB_OFFLINE is set: unset it, or fetch the model on a machine that may: ${command}`
    : `fetch the model first: ${command}`;
  if (missing.revisions.length > 0) {
    return {
      code: "revision-not-found",
      message:
        `the Hugging Face cache has "${id}", but not its revision "${named.revision ?? "main"}" ` +
        `(it has ${missing.revisions.join(", ")}): looked in ${missing.lookedIn}`,
      hint: download,
    };
  }
  return {
    code: "model-not-found",
    message: `"${formatModelPath(named)}" is no folder here, and not in the Hugging Face cache: looked in ${places}`,
    hint: [didYouMean(local), download].filter((line) => line !== undefined).join(" "),
  };
}
