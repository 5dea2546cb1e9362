import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import schema from "../../architectures/schema.json" with { type: "json" };
import type { Report } from "../errors.ts";
import { isObject } from "../model/json-file.ts";
import type { FamilyDefinition } from "./definition.ts";
import { convertMergekit, isMergekitDefinition, mergekitSchema } from "./mergekit-definition.ts";
import { type Families, withDefinitions } from "./registry.ts";
import { type Fault, findFault, pathText, type Schema } from "./validate.ts";

/** More is no definition that a person wrote. */
const MAX_BYTES = 4_000_000;

/**
 * The given families with those that the user describes, which go before them. Both our format and mergekit's are read.
 * @param path a file or a folder of `*.json`; undefined: none. It goes before `folder`, which need not be there.
 */
export function withUserFamilies(
  families: Families,
  path: string | undefined,
  folder: string,
  report: Report,
): Families {
  const files = [...(existsSync(folder) ? definitionFiles(folder) : []), ...givenFiles(path, report)];
  if (files.length === 0) return families;
  const definitions = new Map<string, FamilyDefinition>();
  for (const file of files) {
    const definition = readDefinition(file, report);
    if (definition !== undefined) definitions.set(basename(file, ".json"), definition);
  }
  return withDefinitions(families, definitions);
}

function givenFiles(path: string | undefined, report: Report): string[] {
  if (path === undefined) return [];
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() === true) return [path];
  const files = stat?.isDirectory() === true ? definitionFiles(path) : [];
  if (files.length === 0) {
    const what = stat === undefined ? "there is no such file or folder" : "there is no *.json in it";
    report.error({ code: "no-definition", message: `--architectures ${path}: ${what}`, path });
  }
  return files;
}

function definitionFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json") && name !== "schema.json" && name !== "index.json")
    .sort()
    .map((name) => join(folder, name));
}

/** @returns undefined where the file is no definition: then the report has an error that names the place in it. */
export function readDefinition(path: string, report: Report): FamilyDefinition | undefined {
  const fail = (message: string, hint?: string) => {
    report.error({ code: "invalid-definition", message, path, hint });
    return undefined;
  };
  const size = statSync(path).size;
  if (size > MAX_BYTES) return fail(`the definition has ${size} bytes, and more than ${MAX_BYTES} are not read`);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    return fail(`the definition is not JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) return fail("the definition is JSON, but not an object");
  const isMergekit = isMergekitDefinition(value);
  const fault = findFault(value, isMergekit ? mergekitSchema(value) : (schema as Schema));
  if (fault !== undefined) return fail(faultText(fault), "docs/architectures.md says what a definition looks like");
  const definition = isMergekit ? convertMergekit(value) : (value as unknown as FamilyDefinition);
  return "path" in definition ? fail(faultText(definition)) : definition;
}

function faultText({ path, message }: Fault): string {
  return path.length === 0 ? `the definition ${message}` : `${pathText(path)} ${message}`;
}
