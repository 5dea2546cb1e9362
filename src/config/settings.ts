import { type Context, readEntries, readFields, readText, wrongType } from "./fields.ts";
import type { ConditionalValue, Parameter, Parameters, Scalar, ScalarOrGradient } from "./types.ts";
import type { YamlEntry, YamlNode, YamlScalar, YamlSequence } from "./yaml-node.ts";
import { numericText } from "./yaml-scalar.ts";

const FORMS =
  "give a number, true or false, a list of numbers (a gradient over the layers), or lines of {filter, value}";

/** `parameters:` of any level. Which names a method knows is not checked here. */
export function readParameters(entry: YamlEntry | undefined, what: string, context: Context): Parameters {
  const parameters = new Map<string, Parameter>();
  if (entry === undefined) return parameters;
  for (const [name, { value }] of readEntries(entry.value, `parameters of ${what}`, context)) {
    parameters.set(name, { lines: readLines(name, value, context), at: value.at });
  }
  return parameters;
}

function readLines(name: string, node: YamlNode, context: Context): readonly ConditionalValue[] {
  if (node.kind === "mapping") return readLine(name, node, context);
  if (node.kind === "sequence" && node.items.some((item) => item.kind === "mapping")) {
    return node.items.flatMap((item) => readLine(name, item, context));
  }
  const value = readValue(name, node, context);
  return value === undefined ? [] : [{ value }];
}

function readLine(name: string, node: YamlNode, context: Context): readonly ConditionalValue[] {
  const fields = readFields(node, `a line of "${name}"`, ["value", "filter"], context);
  if (fields === undefined) return [];
  if (fields.value === undefined) {
    context.report.error({
      code: "missing-key",
      message: `a line of "${name}" has no value`,
      at: node.at,
      hint: FORMS,
    });
    return [];
  }
  const value = readValue(name, fields.value.value, context);
  const filter = fields.filter && readText(fields.filter.value, `filter of "${name}"`, context);
  return value === undefined ? [] : [{ value, filter }];
}

function readValue(name: string, node: YamlNode, context: Context): ScalarOrGradient | undefined {
  if (node.kind === "scalar") return readScalar(name, node, context);
  return node.kind === "sequence" ? readGradient(name, node, context) : notAValue(name, node, context);
}

function readGradient(name: string, node: YamlSequence, context: Context): readonly Scalar[] | undefined {
  if (node.items.length === 0) {
    const message = `parameter "${name}" is an empty list`;
    context.report.error({ code: "parameter-value", message, at: node.at, hint: FORMS });
    return undefined;
  }
  return node.items.flatMap((item) => {
    const value = item.kind === "scalar" ? readScalar(name, item, context) : notAValue(name, item, context);
    return value === undefined ? [] : [value];
  });
}

const QUOTED_BOOLEAN = /^(?:true|false|yes|no|on|off)$/i;

function readScalar(name: string, node: YamlScalar, context: Context): Scalar | undefined {
  if (typeof node.value === "boolean") return node.value;
  const number = typeof node.value === "string" ? numericText(node.value) : node.value;
  if (number === undefined || number === null) {
    const quoted = typeof node.value === "string" && QUOTED_BOOLEAN.test(node.value);
    return notAValue(
      name,
      node,
      context,
      quoted ? `drop the quotes: ${name}: ${node.source.toLowerCase()}` : undefined,
    );
  }
  if (Number.isFinite(number)) return number;
  const message = `parameter "${name}" must be a finite number, not ${node.source}`;
  context.report.error({ code: "parameter-value", message, at: node.at });
  return undefined;
}

function notAValue(name: string, node: YamlNode, context: Context, hint = FORMS): undefined {
  return wrongType(node, `parameter "${name}"`, "a number, a truth value or a gradient", context, hint);
}
