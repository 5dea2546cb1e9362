import { readFileSync, statSync } from "node:fs";
import type { Report } from "../errors.ts";
import { parsePythonJson } from "./python-json.ts";
import { isNestedTooDeeply, MAX_FILE_BYTES } from "./text-file.ts";

/**
 * Reads a file that holds one JSON object, as Python's programs write and read it (bare `NaN` and `Infinity` included).
 * @param what the file's part, for messages: `config.json`.
 * @returns undefined where it does not: then the report has an error of code `invalid-json`.
 * @throws system errors where it cannot be read.
 */
export function readJsonObject(path: string, what: string, report: Report): Record<string, unknown> | undefined {
  const { size } = statSync(path);
  if (size > MAX_FILE_BYTES) {
    report.error({ code: "invalid-json", message: `${what} takes ${size} bytes: more than ${MAX_FILE_BYTES}`, path });
    return undefined;
  }
  const text = readFileSync(path, "utf8");
  let value: unknown;
  try {
    if (isNestedTooDeeply(text)) throw new Error("nested too deeply");
    value = parsePythonJson(text);
  } catch (error) {
    report.error({ code: "invalid-json", message: `${what} is not JSON: ${(error as Error).message}`, path });
    return undefined;
  }
  if (isObject(value)) return value;
  report.error({ code: "invalid-json", message: `${what} is JSON, but not an object`, path });
  return undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
