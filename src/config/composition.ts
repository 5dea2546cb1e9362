import type { Position } from "../errors.ts";
import {
  type Context,
  type Fields,
  isNothing,
  readEntries,
  readFields,
  readInteger,
  readItems,
  readNumber,
  wrongType,
} from "./fields.ts";
import { readModel } from "./model-ref.ts";
import { readParameters } from "./settings.ts";
import type {
  Composition,
  InputModel,
  InputSlice,
  MergeConfig,
  ModuleDefinition,
  NamedModel,
  OutputSlice,
} from "./types.ts";
import type { YamlEntry, YamlNode } from "./yaml-node.ts";

const NOTHING: Composition = { kind: "models", models: [] };

/** The whole model from `models` or `slices`, or its modules from `modules`: exactly one of them. */
export function readBody(
  fields: Fields<"models" | "slices" | "modules">,
  at: Position,
  context: Context,
): MergeConfig["body"] {
  const present = exactlyOne(
    [fields.models, fields.slices, fields.modules],
    "models, slices, modules",
    "the configuration",
    at,
    context,
  );
  if (present === undefined || present !== fields.modules) {
    return { kind: "whole", composition: readComposition(present, context) };
  }
  const modules = new Map<string, ModuleDefinition>();
  for (const [name, entry] of readEntries(present.value, "modules", context)) {
    const definition = readModule(name, entry, context);
    if (definition !== undefined) modules.set(name, definition);
  }
  return { kind: "modules", modules };
}

function readModule(name: string, entry: YamlEntry, context: Context): ModuleDefinition | undefined {
  const what = `module "${name}"`;
  const at = entry.key.at;
  const fields = readFields(entry.value, what, ["models", "slices", "parameters"], context);
  if (fields === undefined) return undefined;
  const present = exactlyOne([fields.models, fields.slices], "models, slices", what, at, context);
  return {
    composition: readComposition(present, context),
    parameters: readParameters(fields.parameters, what, context),
    at,
  };
}

/** The one entry that holds something, as in the reference an empty list or mapping counts as absent. */
function exactlyOne(
  entries: readonly (YamlEntry | undefined)[],
  names: string,
  what: string,
  at: Position,
  context: Context,
): YamlEntry | undefined {
  const present = entries.filter((entry) => entry !== undefined).filter((entry) => !isEmpty(entry.value));
  const [first, second] = present.toSorted(
    ({ key: a }, { key: b }) => a.at.line - b.at.line || a.at.column - b.at.column,
  );
  if (first === undefined) {
    context.report.error({
      code: "nothing-to-merge",
      message: `${what} names nothing to merge`,
      at,
      hint: `give one of ${names}`,
    });
  } else if (second !== undefined) {
    const message = `${what} has both ${first.key.source} (line ${first.key.at.line}) and ${second.key.source}`;
    context.report.error({ code: "models-and-slices", message, at: second.key.at, hint: `keep one of ${names}` });
  }
  return first;
}

function isEmpty(node: YamlNode): boolean {
  if (node.kind === "sequence") return node.items.length === 0;
  return node.kind === "mapping" ? node.entries.length === 0 : isNothing(node);
}

function readComposition(entry: YamlEntry | undefined, context: Context): Composition {
  if (entry === undefined) return NOTHING;
  const items = readItems(entry.value, entry.key.source, context);
  if (entry.key.value === "models")
    return { kind: "models", models: items.flatMap((item) => readInputModel(item, context)) };
  const slices = items.flatMap((item) => readOutputSlice(item, context));
  warnEmpty(slices, context);
  return { kind: "slices", slices };
}

/** The first and the last of several slices say where the weights before and after the layers come from, even if empty. */
function warnEmpty(slices: readonly OutputSlice[], context: Context): void {
  const between = slices.length > 1 ? slices.slice(1, -1) : slices;
  for (const { layerRange, at } of between.flatMap(({ sources }) => sources)) {
    const [start, end] = layerRange;
    if (start !== end) continue;
    context.report.warn({ code: "layer-range", message: `layer_range [${start}, ${end}] holds no layer`, at });
  }
}

function readInputModel(node: YamlNode, context: Context): readonly InputModel[] {
  const what = "an entry of models";
  const fields = readFields(node, what, ["model", "parameters"], context);
  if (fields === undefined) return [];
  const model = readRequiredModel(fields.model, node, what, context);
  const parameters = readParameters(fields.parameters, what, context);
  return model === undefined ? [] : [{ model, parameters }];
}

function readOutputSlice(node: YamlNode, context: Context): readonly OutputSlice[] {
  const fields = readFields(node, "a slice", ["sources", "base_model", "residual_weight", "parameters"], context);
  if (fields === undefined) return [];
  // mergekit's schema has residual_weight and nothing there reads it.
  if (fields.residual_weight !== undefined) readNumber(fields.residual_weight.value, "residual_weight", context);
  const sources = readSources(fields.sources, node, context);
  const baseModel = fields.base_model && readModel(fields.base_model.value, "base_model", context);
  return [{ sources, baseModel, parameters: readParameters(fields.parameters, "a slice", context), at: node.at }];
}

function readSources(entry: YamlEntry | undefined, slice: YamlNode, context: Context): readonly InputSlice[] {
  if (entry === undefined || isEmpty(entry.value)) {
    const hint = "give sources: a list of {model, layer_range}";
    context.report.error({
      code: "missing-key",
      message: "a slice has no sources",
      at: entry?.value.at ?? slice.at,
      hint,
    });
    return [];
  }
  return readItems(entry.value, "sources", context).flatMap((item) => readInputSlice(item, context));
}

function readInputSlice(node: YamlNode, context: Context): readonly InputSlice[] {
  const what = "a source";
  const fields = readFields(node, what, ["model", "layer_range", "parameters"], context);
  if (fields === undefined) return [];
  const model = readRequiredModel(fields.model, node, what, context);
  const parameters = readParameters(fields.parameters, what, context);
  const range = fields.layer_range;
  if (range === undefined) {
    const hint = "give layer_range: [first, end], counted from 0, without the end";
    context.report.error({ code: "missing-key", message: "a source has no layer_range", at: node.at, hint });
    return [];
  }
  const layerRange = readLayerRange(range.value, context);
  return model && layerRange ? [{ model, layerRange, at: range.value.at, parameters }] : [];
}

function readLayerRange(node: YamlNode, context: Context): readonly [number, number] | undefined {
  const [from, to, more] = node.kind === "sequence" ? node.items : [];
  if (from === undefined || to === undefined || more !== undefined) {
    return wrongType(node, "layer_range", "a list of two whole numbers", context, "as in layer_range: [0, 16]");
  }
  const start = readInteger(from, "layer_range", context);
  const end = readInteger(to, "layer_range", context);
  if (start === undefined || end === undefined) return undefined;
  if (start < 0 || end < start) {
    const message = `layer_range [${start}, ${end}] ${start < 0 ? "starts before layer 0" : "ends before it starts"}`;
    context.report.error({
      code: "layer-range",
      message,
      at: node.at,
      hint: "[first, end], counted from 0, without the end",
    });
    return undefined;
  }
  return [start, end];
}

function readRequiredModel(
  entry: YamlEntry | undefined,
  node: YamlNode,
  what: string,
  context: Context,
): NamedModel | undefined {
  if (entry !== undefined) return readModel(entry.value, "model", context);
  context.report.error({ code: "missing-key", message: `${what} has no model`, at: node.at, hint: "give model: path" });
  return undefined;
}
