import { existsSync } from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import type { Report } from "../errors.ts";
import { type Dtype, isDtype } from "../model/dtype.ts";
import { isObject, readJsonObject } from "../model/json-file.ts";
import { planHash } from "../plan/hash.ts";
import type { MergePlan, Recipe } from "../plan/types.ts";
import { onFile } from "./file-error.ts";

export const MANIFEST_NAME = "sinter_manifest.json";

/**
 * What lets others verify a merge: the recipe's hash and a checksum of every tensor. It holds no time, no path and
 * nothing about the machine but which devices computed, if any did: else two runs of one recipe write the same bytes.
 * @param checksums XXH3-128 in hexadecimal, by op.
 * @param computedOn by device, and `cpu`: how many tensors it computed.
 */
export function manifestText(
  plan: MergePlan,
  checksums: readonly string[],
  computedOn: ReadonlyMap<string, number> = new Map(),
): string {
  const onDevices = [...computedOn.keys()].some((name) => name !== "cpu");
  const head = {
    sinter_version: pkg.version,
    plan: planHash(plan),
    merge_method: plan.method,
    seed: plan.seed,
    ...(plan.varies === undefined ? {} : { varies_by_machine: plan.varies }),
    ...(plan.recipe === undefined ? {} : { recipe: plan.recipe }),
    ...(plan.madeInputs === undefined ? {} : { made_inputs: plan.madeInputs }),
    ...(onDevices ? { computed_on: Object.fromEntries(computedOn) } : {}),
    checksum: "XXH3-128 of the XXH3-128 digests of the tensor's 4 MiB blocks",
  };
  const fields = Object.entries(head).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)},`);
  const tensors = plan.ops.map((op, index) => {
    const tensor = { dtype: op.dtype, shape: op.shape, xxh3_128: checksums[index] };
    return `    ${JSON.stringify(op.tensor)}: ${JSON.stringify(tensor)}`;
  });
  return `{\n${fields.join("\n")}\n  "tensors": {\n${tensors.join(",\n")}\n  }\n}\n`;
}

/** What a manifest says, as far as others read it. */
export interface Manifest {
  version: string;
  plan: string;
  recipe: Recipe | undefined;
  tensors: ReadonlyMap<string, ManifestTensor>;
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
  const entries = isObject(tensors)
    ? Object.entries(tensors).map(([name, value]) => [name, readTensor(value)] as const)
    : [];
  const wrong = entries.find(([, tensor]) => tensor === undefined)?.[0];
  if (typeof version !== "string" || typeof plan !== "string" || !isObject(tensors) || wrong !== undefined) {
    const what = wrong === undefined ? "lacks sinter_version, plan or tensors" : `says nothing useful of ${wrong}`;
    report.error({ code: "bad-manifest", message: `${MANIFEST_NAME} ${what}`, path });
    return undefined;
  }
  return { version, plan, recipe: readRecipe(json.recipe), tensors: new Map(entries as [string, ManifestTensor][]) };
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
    PROGRAMS.includes(value.program as string) && Object.keys(options).every((name) => name in OPTION_CHECKS);
  const right = Object.entries(OPTION_CHECKS).every(([name, check]) => check(options[name]));
  return known && right ? (value as unknown as Recipe) : undefined;
}
