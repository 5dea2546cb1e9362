import { type Report, SinterError } from "../errors.ts";
import { type Context, readFields, readInteger, readItems, readNumber } from "./fields.ts";
import { readModel } from "./model-ref.ts";
import type { ReadOptions } from "./read.ts";
import type { NamedModel } from "./types.ts";
import { parseYaml } from "./yaml.ts";
import type { YamlNode } from "./yaml-node.ts";

/** Layers `[start, end)` of a model, stacked on those before. */
export interface LayerSlice {
  model: NamedModel;
  start: number;
  end: number;
  /** Factor on the output of the layers' feed-forward parts. */
  scale: number | undefined;
}

/** A stack as bakllama's configurations say it. */
export interface LayerStack {
  slices: readonly LayerSlice[];
  /** Where what comes before and after the layers is from; undefined: from the first and the last slice's model. */
  embeddingSource: NamedModel | undefined;
  headSource: NamedModel | undefined;
}

/** @throws SinterError with every error of the text. */
export function readLayerStack(text: string, file: string, options: ReadOptions, report: Report): LayerStack {
  const context: Context = { report, ...options };
  const root = parseYaml(text, file, report);
  if (root === undefined) throw new SinterError(report.errors);
  const fields =
    readFields(root, "the configuration", ["layer_slices", "embedding_source", "lm_head_source"], context) ?? {};
  const items = fields.layer_slices ? readItems(fields.layer_slices.value, "layer_slices", context) : [];
  const slices = items.flatMap((item) => readSlice(item, context));
  if (items.length === 0) {
    const hint = "give layer_slices: a list of {model, start, end}";
    report.error({ code: "nothing-to-merge", message: "the configuration names no layers", at: root.at, hint });
  }
  const embeddingSource =
    fields.embedding_source && readModel(fields.embedding_source.value, "embedding_source", context);
  const headSource = fields.lm_head_source && readModel(fields.lm_head_source.value, "lm_head_source", context);
  report.throwIfErrors();
  return { slices, embeddingSource, headSource };
}

function readSlice(node: YamlNode, context: Context): LayerSlice[] {
  const what = "a slice of layers";
  const fields = readFields(node, what, ["model", "start", "end", "scale"], context);
  if (fields === undefined) return [];
  const missing = (["model", "start", "end"] as const).filter((name) => fields[name] === undefined);
  if (missing.length > 0) {
    const message = `${what} has no ${missing.join(", ")}`;
    context.report.error({ code: "missing-key", message, at: node.at, hint: "give model, start and end" });
  }
  const model = fields.model && readModel(fields.model.value, "model", context);
  const start = fields.start && readInteger(fields.start.value, "start", context);
  const end = fields.end && readInteger(fields.end.value, "end", context);
  const scale = fields.scale && readNumber(fields.scale.value, "scale", context);
  if (model === undefined || start === undefined || end === undefined) return [];
  if (start < 0 || end <= start) {
    const message = `layers ${start} to ${end} are none: start counts from 0, and end is not part of it`;
    context.report.error({ code: "layer-range", message, at: node.at });
    return [];
  }
  return [{ model, start, end, scale }];
}
