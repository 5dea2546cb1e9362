import { statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type Position, Report } from "../errors.ts";
import { isFile, listFiles } from "./folder-files.ts";
import { chooseFiles, isTokenizerFile } from "./hub/choose.ts";
import { expandHome, findSnapshot, hubCacheDir, isFolder, isRevision, parseHubId } from "./hub-cache.ts";
import { readIndex } from "./index-file.ts";
import { readJsonObject } from "./json-file.ts";
import type { ModelPath } from "./ref.ts";
import { modelWeightFiles } from "./weight-files.ts";

const ADAPTER_CONFIG = "adapter_config.json";

/** A model, and where the configuration names it. */
export interface NamedPath {
  path: ModelPath;
  at?: Position | undefined;
}

/** The folders within a model's own that hold parts of it, by its config.json. */
export type FoldersOf = (config: Readonly<Record<string, unknown>>) => Iterable<string>;

/** A model on the Hub of which the cache lacks something. */
export interface MissingModel extends NamedPath {
  /** `org/name`, or `name`. */
  id: string;
  revision: string;
  /** The weights are there: only whether there is a tokenizer is not known. */
  isUsable: boolean;
}

/**
 * Whether a model must be fetched from the Hub: it is no folder here, its name can be one of the Hub's, and the cache has
 * no snapshot with its configuration, all its weights and its tokenizer (other programs keep parts of a model).
 * Asks nobody.
 * @param foldersOf the folders that hold parts of a model, by its config.json.
 */
export function findMissing(
  named: NamedPath,
  cacheDir: string | undefined,
  foldersOf: FoldersOf = () => [],
): MissingModel | undefined {
  const { path, revision = "main" } = named.path;
  const id = parseHubId(path);
  if (id === undefined || !isRevision(revision)) return undefined;
  try {
    if (statSync(resolve(expandHome(path)), { throwIfNoEntry: false }) !== undefined) return undefined;
    const state = stateOfSnapshot(findSnapshot(resolve(hubCacheDir(cacheDir)), id, revision).dir, foldersOf);
    return state === "whole" ? undefined : { ...named, id, revision, isUsable: state === "usable" };
  } catch (error) {
    // What cannot even be looked at is reported by whoever opens the model.
    if (error instanceof Error && "syscall" in error) return undefined;
    throw error;
  }
}

function stateOfSnapshot(dir: string | undefined, foldersOf: FoldersOf): "partial" | "usable" | "whole" {
  const names = dir === undefined ? [] : listFiles(dir);
  if (dir === undefined || !hasModel(dir, names)) return "partial";
  const config = names.includes("config.json") ? readJsonObject(join(dir, "config.json"), "", new Report()) : undefined;
  const parts = [...foldersOf(config ?? {})].map((folder) => join(dir, folder));
  if (!parts.every((part) => isFolder(part) && hasWeights(part, listFiles(part)))) return "partial";
  return hasTokenizer(dir, names) ? "whole" : "usable";
}

function hasModel(dir: string, names: readonly string[]): boolean {
  const isModel = names.includes("config.json") || names.includes(ADAPTER_CONFIG);
  return isModel && hasWeights(dir, names);
}

function hasWeights(dir: string, names: readonly string[]): boolean {
  const index = modelWeightFiles(names)?.index;
  const { weights } = chooseFiles(names, undefined);
  if (index === undefined) return weights.length > 0 && isWholeSeries(weights);
  // Numbered names tell as much as the index, which for a large model is megabytes of JSON.
  if (isNumbered(weights) && isWholeSeries(weights)) return true;
  // An index that cannot be read is for the model's reader to report.
  const shards = readIndex(join(dir, index), new Report())?.values() ?? [];
  return [...new Set(shards)].every((shard) => names.includes(shard) || isFile(join(dir, shard)));
}

/** A name like `model-00002-of-00005.safetensors`: the series it is of, and how many there are. */
function seriesOf(name: string): { series: string; count: number } | undefined {
  const match = /^(.*)-\d{5}-of-(\d{5})\.\w+$/.exec(name);
  return match === null ? undefined : { series: `${match[1]}-${match[2]}`, count: Number(match[2]) };
}

function isNumbered(names: readonly string[]): boolean {
  return names.length > 0 && names.every((name) => seriesOf(name) !== undefined);
}

/** Whether no number of any series is missing. */
function isWholeSeries(names: readonly string[]): boolean {
  const found = new Map<string, number>();
  for (const name of names) {
    const of = seriesOf(name);
    if (of !== undefined) found.set(of.series, (found.get(of.series) ?? of.count) - 1);
  }
  return [...found.values()].every((lacking) => lacking === 0);
}

/** Whether the snapshot has a tokenizer, or it is known that the repository has none. An adapter needs none. */
function hasTokenizer(dir: string, names: readonly string[]): boolean {
  if (names.includes(ADAPTER_CONFIG) || names.some(isTokenizerFile)) return true;
  return isFile(absenceMark(dir, "tokenizer_config.json"));
}

/** Where Hugging Face's programs note that a repository does not have a file: an empty file of that name. */
export function absenceMark(snapshotDir: string, name: string): string {
  return join(snapshotDir, "..", "..", ".no_exist", basename(snapshotDir), name);
}
