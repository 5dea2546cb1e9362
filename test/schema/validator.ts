import type { Schema } from "../../src/schema/parts.ts";

/** Checks a value against the keywords of JSON Schema that `Schema` has. @returns paths of what is wrong. */
export function violations(root: Schema, value: unknown): string[] {
  return check(root, value, "", root);
}

function check(schema: Schema, value: unknown, path: string, root: Schema): string[] {
  const found: string[] = [];
  const fail = (what: string) => found.push(`${path || "/"}: ${what}`);
  if (schema.$ref !== undefined) {
    const target = root.$defs?.[schema.$ref.replace("#/$defs/", "")];
    if (target === undefined) throw new Error(`no ${schema.$ref}`);
    found.push(...check(target, value, path, root));
  }
  if (schema.type !== undefined && ![schema.type].flat().some((type) => isA(type, value))) fail(`no ${schema.type}`);
  if (schema.enum !== undefined && !schema.enum.includes(value as string)) fail("not in the enum");
  if (schema.const !== undefined && schema.const !== value) fail(`not ${schema.const}`);
  if (typeof value === "string" && schema.pattern !== undefined && !new RegExp(schema.pattern).test(value))
    fail("pattern");
  if (typeof value === "number" && (value < (schema.minimum ?? value) || value > (schema.maximum ?? value)))
    fail("range");
  const fitting = (list: readonly Schema[]) => list.filter((one) => check(one, value, path, root).length === 0).length;
  if (schema.anyOf !== undefined && fitting(schema.anyOf) === 0) fail("none of the forms");
  if (schema.oneOf !== undefined && fitting(schema.oneOf) !== 1) fail("not one of the forms");
  if (Array.isArray(value)) found.push(...checkList(schema, value, path, root));
  else if (typeof value === "object" && value !== null) found.push(...checkMapping(schema, value, path, root));
  return found;
}

function checkList(schema: Schema, value: readonly unknown[], path: string, root: Schema): string[] {
  const { items, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
  const length = value.length < minItems || value.length > maxItems ? [`${path}: ${value.length} items`] : [];
  return [...length, ...(items ? value.flatMap((item, i) => check(items, item, `${path}/${i}`, root)) : [])];
}

function checkMapping(schema: Schema, value: object, path: string, root: Schema): string[] {
  const { properties = {}, required = [], additionalProperties: rest } = schema;
  const missing = required.filter((name) => !Object.hasOwn(value, name)).map((name) => `${path}: no ${name}`);
  const inner = Object.entries(value).flatMap(([name, item]) => {
    const own = properties[name] ?? (typeof rest === "object" ? rest : undefined);
    if (own !== undefined) return check(own, item, `${path}/${name}`, root);
    return rest === false ? [`${path}/${name}: unknown`] : [];
  });
  const few = Object.keys(value).length < (schema.minProperties ?? 0) ? [`${path}: too few keys`] : [];
  return [...missing, ...few, ...inner];
}

function isA(type: string, value: unknown): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return type === "integer" ? Number.isInteger(value) : typeof value === type;
}
