/** A part of a JSON schema, as far as `architectures/schema.json` uses the language. */
export interface Schema {
  $ref?: string;
  $defs?: Readonly<Record<string, Schema>>;
  type?: "object" | "array" | "string" | "number" | "integer" | "boolean" | "null";
  enum?: readonly unknown[];
  anyOf?: readonly Schema[];
  required?: readonly string[];
  properties?: Readonly<Record<string, Schema>>;
  additionalProperties?: boolean | Schema;
  minProperties?: number;
  items?: Schema;
  minItems?: number;
  minLength?: number;
  minimum?: number;
}

/** Where a value is wrong, as a path of keys, and what should be there. */
export interface Fault {
  path: readonly (string | number)[];
  message: string;
}

/** Groups within groups: deeper than any definition that a person wrote. */
const MAX_DEPTH = 40;

/** The first thing that is wrong with a value; undefined where nothing is. Reads at most `MAX_DEPTH` levels deep. */
export function findFault(value: unknown, schema: Schema, root: Schema = schema): Fault | undefined {
  return check(value, schema, root, []);
}

function check(value: unknown, schema: Schema, root: Schema, path: Fault["path"]): Fault | undefined {
  if (path.length > MAX_DEPTH) return { path, message: "is nested too deeply" };
  if (schema.$ref !== undefined) return check(value, lookUp(schema.$ref, root), root, path);
  if (schema.anyOf !== undefined) return checkAny(value, schema.anyOf, root, path);
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    return { path, message: `must be one of ${schema.enum.map((one) => JSON.stringify(one)).join(", ")}` };
  }
  if (schema.type !== undefined && !hasType(value, schema.type)) {
    return { path, message: `must be ${WORDS[schema.type]}` };
  }
  if (typeof value === "string" && value.length < (schema.minLength ?? 0)) {
    return { path, message: "must not be empty" };
  }
  if (typeof value === "number" && value < (schema.minimum ?? value)) {
    return { path, message: `must be ${schema.minimum} or more` };
  }
  if (Array.isArray(value)) return checkList(value, schema, root, path);
  return isObject(value) ? checkObject(value, schema, root, path) : undefined;
}

const WORDS = {
  object: "an object",
  array: "a list",
  string: "a text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  null: "null",
};

function hasType(value: unknown, type: NonNullable<Schema["type"]>): boolean {
  if (type === "object") return isObject(value);
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  return type === "null" ? value === null : typeof value === type;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function lookUp(reference: string, root: Schema): Schema {
  const found = root.$defs?.[reference.replace("#/$defs/", "")];
  if (found === undefined) throw new Error(`the schema has no ${reference}`);
  return found;
}

/** The fault of the alternative that fits best: the one that goes wrong deepest inside the value. */
function checkAny(
  value: unknown,
  alternatives: readonly Schema[],
  root: Schema,
  path: Fault["path"],
): Fault | undefined {
  const faults: Fault[] = [];
  for (const alternative of alternatives) {
    const fault = check(value, alternative, root, path);
    if (fault === undefined) return undefined;
    faults.push(fault);
  }
  const [deepest] = faults.toSorted((a, b) => b.path.length - a.path.length);
  if (deepest === undefined || deepest.path.length > path.length) return deepest;
  return { path, message: [...new Set(faults.map(({ message }) => message))].join(", or ") };
}

function checkList(
  value: readonly unknown[],
  { items, minItems = 0 }: Schema,
  root: Schema,
  path: Fault["path"],
): Fault | undefined {
  if (value.length < minItems) return { path, message: "must not be empty" };
  if (items === undefined) return undefined;
  for (const [i, item] of value.entries()) {
    const fault = check(item, items, root, [...path, i]);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function checkObject(
  value: Readonly<Record<string, unknown>>,
  schema: Schema,
  root: Schema,
  path: Fault["path"],
): Fault | undefined {
  const keys = Object.keys(value);
  const missing = (schema.required ?? []).find((key) => !Object.hasOwn(value, key));
  if (missing !== undefined) return { path, message: `has no ${missing}` };
  if (keys.length < (schema.minProperties ?? 0)) return { path, message: "must not be empty" };
  for (const key of keys) {
    const known = schema.properties !== undefined && Object.hasOwn(schema.properties, key);
    const of = known ? schema.properties?.[key] : schema.additionalProperties;
    if (of === false) return { path: [...path, key], message: "is no key of the format" };
    const fault = typeof of === "object" ? check(value[key], of, root, [...path, key]) : undefined;
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** A path as people write it: `modules.default.layer[3].name`. */
export function pathText(path: Fault["path"]): string {
  return path.map((part, i) => (typeof part === "number" ? `[${part}]` : i === 0 ? part : `.${part}`)).join("");
}
