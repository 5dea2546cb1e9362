import { basename, normalize } from "node:path";
import type { Report } from "../errors.ts";
import { isObject, readJsonObject } from "./json-file.ts";

export const INDEX_FILE = "model.safetensors.index.json";

/**
 * Reads which shard holds which tensor.
 * @returns shards (paths inside the folder) by tensor; undefined where the file is of no use: then the report has an error.
 */
export function readIndex(path: string, report: Report): Map<string, string> | undefined {
  const file = basename(path);
  const index = readJsonObject(path, file, report);
  if (index === undefined) return undefined;
  if (!isObject(index.weight_map)) {
    report.error({ code: "index-form", message: `${file} must have an object "weight_map"`, path });
    return undefined;
  }
  const placed = new Map<string, string>();
  const checked = new Map<unknown, boolean>();
  for (const [tensor, shard] of Object.entries(index.weight_map)) {
    if (!checked.has(shard)) checked.set(shard, isInside(shard));
    placed.set(tensor, shard as string);
  }
  const outside = [...checked].filter(([, isUsable]) => !isUsable).map(([shard]) => describe(shard));
  if (outside.length === 0) return placed;
  report.error({
    code: "index-shard-path",
    message: `${file} must name files inside its own folder, but names ${outside.join(", ")}`,
    path,
  });
  return undefined;
}

/** Whether a relative path stays in its folder. A hostile index must not make us read elsewhere. */
export function isInside(shard: unknown): boolean {
  if (typeof shard !== "string" || shard === "" || shard.includes("\0") || /^\/|\/$/.test(shard)) return false;
  const path = normalize(shard);
  return path !== "." && path !== ".." && !path.startsWith("../");
}

/** Only texts are shown: anything else may be nested too deep to be written. */
function describe(shard: unknown): string {
  return typeof shard === "string" ? JSON.stringify(shard) : `a value that is no text (${typeof shard})`;
}
