import { type Context, readFields, readInteger, readItems, readNumber, readText } from "../config/fields.ts";
import { readModel } from "../config/model-ref.ts";
import { readConfigText, readDtype } from "../config/read.ts";
import { parseYaml } from "../config/yaml.ts";
import type { YamlEntry, YamlNode } from "../config/yaml-node.ts";
import { nearest, type Position, type Report, SinterError } from "../errors.ts";
import type { Expert, GateMode, MixtureConfig } from "./types.ts";

const KEYS = [
  "base_model",
  "experts",
  "shared_experts",
  "gate_mode",
  "dtype",
  "experts_per_token",
  "architecture",
] as const;
const EXPERT_KEYS = ["source_model", "positive_prompts", "negative_prompts", "noise_scale", "residual_scale"] as const;

/** What `gate_mode` may be, and what it means: `hidden` is the older name of `hidden_last`. */
const GATE_MODES: Readonly<Record<string, GateMode>> = {
  hidden: "hidden_last",
  hidden_avg: "hidden_avg",
  hidden_last: "hidden_last",
  cheap_embed: "cheap_embed",
  random: "random",
  uniform_random: "uniform_random",
};

/** How many experts work on a token where the configuration does not say. */
const USUAL_PER_TOKEN = 2;

/** Reads a configuration file. @throws SinterError where it cannot be read or is no valid configuration. */
export function loadMixtureConfig(path: string, options: { strict: boolean }, report: Report): MixtureConfig {
  return readMixtureConfig(readConfigText(path), path, options, report);
}

/**
 * Reads and validates the configuration of a mixture of experts. Warnings (unknown keys, unless `strict`) go to `report`.
 * @param file names the text in positions.
 * @throws SinterError with every error of the configuration.
 */
export function readMixtureConfig(
  text: string,
  file: string,
  options: { strict: boolean },
  report: Report,
): MixtureConfig {
  const context: Context = { report, strict: options.strict };
  const root = parseYaml(text, file, report);
  if (root === undefined) throw new SinterError(report.errors);
  const fields = readFields(root, "the configuration", KEYS, context) ?? {};
  const baseModel = fields.base_model && readModel(fields.base_model.value, "base_model", context);
  if (fields.base_model === undefined) {
    const hint = "base_model gives the attention, the norms and the embeddings";
    report.error({ code: "missing-key", message: "the configuration has no base_model", at: root.at, hint });
  }
  const name = fields.architecture && readText(fields.architecture.value, "architecture", context);
  const config = {
    file,
    text,
    at: root.at,
    experts: readExperts(fields.experts, "experts", context),
    shared: readExperts(fields.shared_experts, "shared_experts", context),
    gateMode: readGateMode(fields.gate_mode, context),
    dtype: readDtype(fields.dtype, context),
    expertsPerToken: readPerToken(fields.experts_per_token, context),
    architecture: fields.architecture && name ? { name, at: fields.architecture.value.at } : undefined,
  };
  if (config.experts.length === 0 && report.errors.length === 0) {
    const hint = "experts is a list, each with a source_model";
    report.error({ code: "missing-key", message: "the configuration has no experts", at: root.at, hint });
  }
  checkPerToken(config, fields.experts_per_token?.value.at ?? root.at, report);
  report.throwIfErrors();
  return { ...config, baseModel: baseModel as NonNullable<typeof baseModel> };
}

function readExperts(entry: YamlEntry | undefined, what: string, context: Context): Expert[] {
  if (entry === undefined) return [];
  return readItems(entry.value, what, context).flatMap((item, i) => {
    const expert = readExpert(item, `${what === "experts" ? "expert" : "shared expert"} ${i}`, context);
    return expert === undefined ? [] : [expert];
  });
}

function readExpert(node: YamlNode, what: string, context: Context): Expert | undefined {
  const fields = readFields(node, what, EXPERT_KEYS, context);
  if (fields === undefined) return undefined;
  if (fields.source_model === undefined) {
    context.report.error({ code: "missing-key", message: `${what} has no source_model`, at: node.at });
  }
  const model = fields.source_model && readModel(fields.source_model.value, `source_model of ${what}`, context);
  const expert = {
    at: node.at,
    positive: readPrompts(fields.positive_prompts, `positive_prompts of ${what}`, context),
    negative: readPrompts(fields.negative_prompts, `negative_prompts of ${what}`, context),
    noise: readScale(fields.noise_scale, `noise_scale of ${what}`, 0, context),
    residual: readScale(fields.residual_scale, `residual_scale of ${what}`, 1, context),
  };
  return model === undefined ? undefined : { ...expert, model };
}

function readPrompts(entry: YamlEntry | undefined, what: string, context: Context): string[] {
  if (entry === undefined) return [];
  return readItems(entry.value, what, context).flatMap((item) => readText(item, `a prompt in ${what}`, context) ?? []);
}

function readScale(entry: YamlEntry | undefined, what: string, usual: number, context: Context): number {
  const value = entry && readNumber(entry.value, what, context);
  if (value === undefined || Number.isFinite(value)) return value ?? usual;
  const message = `${what} must be a finite number, not ${value}`;
  context.report.error({ code: "config-value", message, at: entry?.value.at });
  return usual;
}

function readGateMode(entry: YamlEntry | undefined, context: Context): GateMode {
  if (entry === undefined) return "hidden_last";
  const name = readText(entry.value, "gate_mode", context);
  if (name === undefined) return "hidden_last";
  const mode = Object.hasOwn(GATE_MODES, name) ? GATE_MODES[name] : undefined;
  if (mode !== undefined) return mode;
  const known = Object.keys(GATE_MODES);
  const close = nearest(name, known);
  context.report.error({
    code: "unknown-gate-mode",
    message: `unknown gate_mode "${name}"`,
    at: entry.value.at,
    hint: `${close === undefined ? "" : `did you mean "${close}"? `}known: ${known.join(", ")}`,
  });
  return "hidden_last";
}

function readPerToken(entry: YamlEntry | undefined, context: Context): number {
  return (entry && readInteger(entry.value, "experts_per_token", context)) ?? USUAL_PER_TOKEN;
}

function checkPerToken(
  { experts, expertsPerToken }: Pick<MixtureConfig, "experts" | "expertsPerToken">,
  at: Position,
  report: Report,
): void {
  const wrong = (message: string, hint?: string) => report.error({ code: "experts-per-token", message, at, hint });
  if (expertsPerToken < 1) wrong(`experts_per_token must be 1 or more, not ${expertsPerToken}`);
  else if (experts.length > 0 && expertsPerToken > experts.length) {
    wrong(
      `${expertsPerToken} experts per token are more than there are: ${experts.length}`,
      `add experts, or set experts_per_token to at most ${experts.length}`,
    );
  }
}
