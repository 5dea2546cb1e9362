import { nearest, type Report } from "../errors.ts";
import { describe, type YamlEntry, type YamlNode } from "./yaml-node.ts";
import { numericText } from "./yaml-scalar.ts";

/**
 * What every reader of a configuration needs. Readers put what is wrong into `report` and return undefined (or leave
 * the value out), so that one pass finds every error; whoever reads the whole throws at the end.
 */
export interface Context {
  readonly report: Report;
  /** Unknown keys are errors, not warnings. */
  readonly strict: boolean;
  /**
   * Whether a model's text, as it stands, is the path of something: then "@" and "+" in it mean nothing. Undefined where
   * they always do.
   */
  readonly isPath?: ((text: string) => boolean) | undefined;
}

export type Fields<Name extends string> = { readonly [name in Name]?: YamlEntry };

/**
 * The known entries of a mapping; one without a value counts as absent. Unknown keys are reported.
 * @param what names the mapping in messages, as in "a slice".
 */
export function readFields<Name extends string>(
  node: YamlNode,
  what: string,
  names: readonly Name[],
  context: Context,
): Fields<Name> | undefined {
  if (node.kind !== "mapping") return wrongType(node, what, "a mapping", context);
  const fields: { [name in Name]?: YamlEntry } = {};
  for (const entry of node.entries) {
    const name = names.find((candidate) => candidate === entry.key.value);
    if (name === undefined) reportUnknownKey(entry, what, names, context);
    else if (!isNothing(entry.value)) fields[name] = entry;
  }
  return fields;
}

function reportUnknownKey(entry: YamlEntry, what: string, names: readonly string[], context: Context): void {
  const key = entry.key.source;
  const close = nearest(key, names);
  const settings = names.includes("parameters") ? '; settings of the merge method belong under "parameters"' : "";
  const problem = {
    code: "unknown-key",
    message: `unknown key "${key}" in ${what}`,
    at: entry.key.at,
    hint: close === undefined ? `known keys: ${names.join(", ")}${settings}` : `did you mean "${close}"?`,
  };
  if (context.strict) context.report.error(problem);
  else context.report.warn(problem);
}

/** The entries of a mapping whose keys the user chooses. */
export function readEntries(node: YamlNode, what: string, context: Context): readonly [string, YamlEntry][] {
  if (node.kind !== "mapping") {
    wrongType(node, what, "a mapping", context);
    return [];
  }
  return node.entries.flatMap((entry): [string, YamlEntry][] => {
    const name = readText(entry.key, `a name in ${what}`, context);
    return name === undefined ? [] : [[name, entry]];
  });
}

export function readItems(node: YamlNode, what: string, context: Context): readonly YamlNode[] {
  if (node.kind === "sequence") return node.items;
  wrongType(node, what, "a list", context);
  return [];
}

/** Text, and only text: a number or truth value here would lose how it was written (`017`, `on`). */
export function readText(node: YamlNode, what: string, context: Context): string | undefined {
  if (node.kind === "scalar" && typeof node.value === "string") return node.value;
  const quoted = isNothing(node) || node.kind !== "scalar" ? undefined : `put it in quotes: "${node.source}"`;
  return wrongType(node, what, "text", context, quoted);
}

/** A number, text that spells one, or a truth value for 1 or 0. */
export function readNumber(node: YamlNode, what: string, context: Context): number | undefined {
  const value = numberOf(node);
  return value ?? wrongType(node, what, "a number", context);
}

export function readInteger(node: YamlNode, what: string, context: Context): number | undefined {
  const value = numberOf(node);
  return value !== undefined && Number.isSafeInteger(value) ? value : wrongType(node, what, "a whole number", context);
}

function numberOf(node: YamlNode): number | undefined {
  if (node.kind !== "scalar") return undefined;
  if (typeof node.value === "string") return numericText(node.value);
  return node.value === null ? undefined : Number(node.value);
}

const TRUE = new Set(["true", "t", "yes", "y", "on", "1"]);
const FALSE = new Set(["false", "f", "no", "n", "off", "0"]);

/** A truth value, or the text or number that mergekit takes for one. */
export function readBoolean(node: YamlNode, what: string, context: Context): boolean | undefined {
  const text = node.kind === "scalar" && node.value !== null ? String(node.value).toLowerCase() : "";
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  return wrongType(node, what, "true or false", context);
}

/** No value at all: an empty place, `~` or `null`. */
export function isNothing(node: YamlNode): boolean {
  return node.kind === "scalar" && node.value === null;
}

/** Reports that `what` should have been `wanted`. */
export function wrongType(node: YamlNode, what: string, wanted: string, context: Context, hint?: string): undefined {
  const message = `${what} must be ${wanted}, not ${describe(node)}`;
  context.report.error({ code: "config-type", message, at: node.at, hint });
  return undefined;
}
