import { resolvePlain } from "./yaml-scalar.ts";

/** A value to be written: mappings keep the order of their entries; undefined entries are left out. */
export type YamlValue =
  | null
  | boolean
  | number
  | string
  | readonly YamlValue[]
  | { readonly [key: string]: YamlValue | undefined };

/**
 * Text that our reader and PyYAML read as the same value: block style, lists of scalars in brackets.
 * @throws for a number that is not finite: no setting takes one.
 */
export function writeYaml(value: { readonly [key: string]: YamlValue | undefined }): string {
  return mappingLines(value, "").join("");
}

function mappingLines(mapping: { readonly [key: string]: YamlValue | undefined }, indent: string): string[] {
  return Object.entries(mapping).flatMap(([key, value]) => {
    if (value === undefined) return [];
    return lines(`${indent}${text(key)}:`, value, indent);
  });
}

/** `head`, which ends with its colon, and the value on its line or below it. */
function lines(head: string, value: YamlValue, indent: string): string[] {
  if (!isCollection(value)) return [`${head} ${scalar(value)}\n`];
  const flow = inline(value);
  if (flow !== undefined) return [`${head} ${flow}\n`];
  if (isList(value)) return [`${head}\n`, ...value.flatMap((item) => itemLines(item, `${indent}  `))];
  return [`${head}\n`, ...mappingLines(value, `${indent}  `)];
}

function itemLines(item: YamlValue, indent: string): string[] {
  const flow = isCollection(item) ? inline(item) : scalar(item);
  if (flow !== undefined) return [`${indent}- ${flow}\n`];
  const inner = isList(item)
    ? item.flatMap((one) => itemLines(one, `${indent}  `))
    : mappingLines(item as { readonly [key: string]: YamlValue | undefined }, `${indent}  `);
  const [first = "", ...rest] = inner;
  return [`${indent}- ${first.slice(indent.length + 2)}`, ...rest];
}

/** Empty collections, and lists of scalars; undefined for what takes lines of its own. */
function inline(value: readonly YamlValue[] | { readonly [key: string]: YamlValue | undefined }): string | undefined {
  if (!isList(value)) return Object.values(value).every((one) => one === undefined) ? "{}" : undefined;
  return value.some(isCollection) ? undefined : `[${value.map((one) => scalar(one as Scalar)).join(", ")}]`;
}

type Scalar = null | boolean | number | string;

function isCollection(
  value: YamlValue,
): value is readonly YamlValue[] | { readonly [key: string]: YamlValue | undefined } {
  return typeof value === "object" && value !== null;
}

function isList(value: YamlValue): value is readonly YamlValue[] {
  return Array.isArray(value);
}

function scalar(value: Scalar): string {
  if (typeof value === "string") return text(value);
  if (typeof value === "number") return number(value);
  return String(value);
}

/** PyYAML takes an exponent for a number's only after a dot. */
function number(value: number): string {
  if (!Number.isFinite(value)) throw new Error(`${value} is no number to write`);
  const written = Object.is(value, -0) ? "-0.0" : String(value);
  return /^-?\d+e/.test(written) ? written.replace("e", ".0e") : written;
}

/** What needs no quotes wherever it stands. */
const PLAIN = /^[\p{L}\p{N}_./~][\p{L}\p{N}_./~@+-]*$/u;

function text(value: string): string {
  return PLAIN.test(value) && resolvePlain(value) === value ? value : JSON.stringify(value);
}
