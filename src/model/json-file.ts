import { readFileSync } from "node:fs";
import type { Report } from "../errors.ts";

/**
 * Reads a file that holds one JSON object.
 * @param what the file's part, for messages: `config.json`.
 * @returns undefined where it does not: then the report has an error of code `invalid-json`.
 */
export function readJsonObject(path: string, what: string, report: Report): Record<string, unknown> | undefined {
  const text = readFileSync(path, "utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
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
