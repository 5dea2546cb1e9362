import { isObject } from "./json-file.ts";

type Json = Readonly<Record<string, unknown>>;

/** How a config.json is to differ from another. Dotted keys; a list value replaces the whole list. */
export type ConfigEdits = ReadonlyMap<string, unknown>;

/** The configuration with the edits made, all other keys as they were and in their order. */
export function applyEdits(config: Json, edits: ConfigEdits): Json {
  let result = config;
  for (const [key, value] of edits) result = withValue(result, key.split("."), value);
  return result;
}

function withValue(config: Json, [first = "", ...rest]: readonly string[], value: unknown): Json {
  if (rest.length === 0) return { ...config, [first]: value };
  const inner = config[first];
  return { ...config, [first]: withValue(isObject(inner) ? inner : {}, rest, value) };
}
