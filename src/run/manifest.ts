import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import type { Report } from "../errors.ts";
import { hasher } from "../hash.ts";
import { type Dtype, isDtype } from "../model/dtype.ts";
import { isInside } from "../model/index-file.ts";
import { isObject, readJsonObject } from "../model/json-file.ts";
import type { NativeResult } from "../native.ts";
import { planHash } from "../plan/hash.ts";
import type { MergePlan, Recipe } from "../plan/types.ts";
import { computedOn } from "./computed-on.ts";
import { onFile } from "./file-error.ts";
import { PROSE, type WrittenFile, writtenShards } from "./written-files.ts";

export const MANIFEST_NAME = "sinter_manifest.json";

/**
 * What lets others verify a merge: the recipe's hash and a checksum of every tensor and every other file. It holds no time,
 * no path and nothing about the machine but which devices computed, if any did: else two runs of one recipe write the same
 * bytes.
 * @param results what native code said of each op, by op.
 * @param files what was written besides weights, by name.
 */
export function manifestText(
  plan: MergePlan,
  results: readonly Pick<NativeResult, "checksum" | "crc32" | "device">[],
  files: ReadonlyMap<string, WrittenFile>,
): string {
  const computed = computedOn(results);
  const onDevices = [...computed.keys()].some((name) => name !== "cpu");
  const head = {
    sinter_version: pkg.version,
    plan: planHash(plan),
    merge_method: plan.method,
    seed: plan.seed,
    ...(plan.varies === undefined ? {} : { varies_by_machine: plan.varies }),
    ...(plan.recipe === undefined ? {} : { recipe: plan.recipe }),
    ...(plan.madeInputs === undefined ? {} : { made_inputs: plan.madeInputs }),
    ...(onDevices ? { computed_on: Object.fromEntries(computed) } : {}),
    checksum: "XXH3-128 of the XXH3-128 digests of the tensor's 4 MiB blocks",
  };
  const fields = Object.entries(head).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)},`);
  const tensors = plan.ops.map((op, index): [string, object] => {
    return [op.tensor, { dtype: op.dtype, shape: op.shape, xxh3_128: results[index]?.checksum }];
  });
  const shards = writtenShards(
    plan,
    results.map(({ crc32 }) => crc32),
  );
  const others = [...files].filter(([name]) => !PROSE.has(name));
  const rest = [`  "files": ${oneEach([...others, ...shards])},`, `  "tensors": ${oneEach(tensors)},`];
  return sealed(`{\n${[...fields, ...rest].join("\n")}\n`);
}

/** An object with a line for each of its values. */
function oneEach(values: readonly [string, object][]): string {
  const lines = values.map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  return lines.length === 0 ? "{}" : `{\n${lines.join(",\n")}\n  }`;
}

const SEAL = '  "manifest_sha256": "';

/** The manifest with its last line, which is a hash of all lines before it. */
function sealed(text: string): string {
  const hash = hasher("sha256");
  hash.update(text);
  return `${text}${SEAL}${hash.digest("hex")}"\n}\n`;
}

/** Whether the text is what was written, to the last bit. Those of versions before there was a seal cannot say. */
function isIntact(text: string, version: string): boolean {
  const end = text.lastIndexOf(SEAL);
  return end < 0 ? version !== pkg.version : sealed(text.slice(0, end)) === text;
}

/** What a manifest says, as far as others read it. */
export interface Manifest {
  version: string;
  plan: string;
  recipe: Recipe | undefined;
  /** What every file but prose is, weight files apart from their tensors; empty in manifests of before there was this. */
  files: ReadonlyMap<string, WrittenFile>;
  tensors: ReadonlyMap<string, ManifestTensor>;
  /** Whether it is, to the last bit, what was written. */
  intact: boolean;
}

export interface ManifestTensor {
  dtype: Dtype;
  shape: readonly number[];
  /** XXH3-128 of the blocks' digests, in hexadecimal. */
  checksum: string;
}

/**
 * Reads the manifest of a folder. It is input like any other: whatever does not have the form of one is an error.
 * @returns undefined where there is none or it cannot be used: then the report has an error.
 */
export function readManifest(folder: string, report: Report): Manifest | undefined {
  const path = join(folder, MANIFEST_NAME);
  if (!existsSync(path)) {
    report.error({
      code: "no-manifest",
      message: `the folder has no ${MANIFEST_NAME}: it is not what Sinter wrote, or not all of it`,
      path: folder,
    });
    return undefined;
  }
  const json = onFile("cannot read the manifest", path, () => readJsonObject(path, MANIFEST_NAME, report));
  if (json === undefined) return undefined;
  const { sinter_version: version, plan, tensors } = json;
  const files = isObject(json.files) ? Object.entries(json.files).map(readFile) : [];
  const entries = isObject(tensors)
    ? Object.entries(tensors).map(([name, value]) => [name, readTensor(value)] as const)
    : [];
  const wrong = entries.find(([, tensor]) => tensor === undefined)?.[0];
  if (typeof version !== "string" || typeof plan !== "string" || !isObject(tensors) || wrong !== undefined) {
    const what = wrong === undefined ? "lacks sinter_version, plan or tensors" : `says nothing useful of ${wrong}`;
    report.error({ code: "bad-manifest", message: `${MANIFEST_NAME} ${what}`, path });
    return undefined;
  }
  return {
    version,
    plan,
    recipe: readRecipe(json.recipe),
    files: new Map(files.filter((file) => file !== undefined)),
    tensors: new Map(entries as [string, ManifestTensor][]),
    intact: files.every((file) => file !== undefined) && isIntact(readFileSync(path, "utf8"), version),
  };
}

/** Only what lies in the folder is of use. */
function readFile([name, value]: [string, unknown]): [string, WrittenFile] | undefined {
  if (!isObject(value) || !isInside(name)) return undefined;
  const { bytes, sha256 } = value;
  return isCount(bytes) && typeof sha256 === "string" ? [name, { bytes: bytes as number, sha256 }] : undefined;
}

function readTensor(value: unknown): ManifestTensor | undefined {
  if (!isObject(value)) return undefined;
  const { dtype, shape, xxh3_128: checksum } = value;
  const isShape = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (typeof dtype !== "string" || !isDtype(dtype) || !isShape || typeof checksum !== "string") return undefined;
  return { dtype, shape, checksum };
}

const PROGRAMS: readonly string[] = [
  "merge",
  "multi",
  "raw",
  "fill",
  "moe",
  "transplant",
] satisfies Recipe["program"][];

/** What each option may be. */
const OPTION_CHECKS: Readonly<Record<keyof Recipe["options"], (value: unknown) => boolean>> = {
  seed: isCount,
  outShardSize: isCount,
  safeSerialization: isTruth,
  lmHead: (value) => ["auto", "tied", "materialize"].includes(value as string),
  allowCrimes: isTruth,
  copyTokenizer: isTruth,
  writeModelCard: isTruth,
  tensors: (value) => value === undefined || ["all", "intersection", "union"].includes(value as string),
  loraCache: (value) => value === undefined || typeof value === "string",
  expertLayout: (value) => value === undefined || ["separate", "packed"].includes(value as string),
};

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTruth(value: unknown): boolean {
  return typeof value === "boolean";
}

/** @returns undefined where there is none, or one that this version does not know. */
function readRecipe(value: unknown): Recipe | undefined {
  if (!isObject(value) || !isObject(value.options) || typeof value.text !== "string") return undefined;
  const { options } = value;
  const known =
    PROGRAMS.includes(value.program as string) &&
    Object.keys(options).every((name) => Object.hasOwn(OPTION_CHECKS, name));
  const right = Object.entries(OPTION_CHECKS).every(([name, check]) => check(options[name]));
  return known && right ? (value as unknown as Recipe) : undefined;
}
