import { existsSync } from "node:fs";
import pkg from "../../package.json" with { type: "json" };
import type { MergeConfig } from "../config/types.ts";
import type { MergeMethod } from "../methods/types.ts";
import { parseHubId } from "../model/hub-cache.ts";
import { formatModelPath, type ModelPath } from "../model/ref.ts";
import { visibleName } from "../visible.ts";
import { planHash } from "./hash.ts";
import type { PlanModel, PlanModels } from "./models.ts";
import { optionText } from "./recipe.ts";
import type { MergePlan, Recipe } from "./types.ts";

/** What made the model, for its card. */
export const SINTER = `Sinter ${pkg.version}`;

/** `name` or `owner/name` as the Hub allows them: letters, digits, `-`, `_` and `.`, at most 96 characters each. */
const HUB_ID = /^[A-Za-z0-9][\w.-]{0,95}(?:\/[A-Za-z0-9_][\w.-]{0,95})?$/;

/**
 * The README.md of the output: front matter that the Hub reads, the method, the models and the configuration.
 * @param name the model's name: that of the output folder.
 */
export function modelCard(
  config: MergeConfig,
  method: MergeMethod,
  models: PlanModels,
  name: string,
  plan: MergePlan,
): string {
  const base = method.base !== "member" ? models.base : undefined;
  const others = models.all.filter((model) => model !== base);
  const list = others.map((model) => `- ${linked(model)}`).join("\n");
  const from = base === undefined ? "" : `, with ${linked(base)} as the base`;
  const title = method.reference === undefined ? method.title : `[${method.title}](${method.reference})`;
  return [
    `---\n${frontMatter(models)}---`,
    `# ${visibleName(name)}`,
    `Merged with ${SINTER} by the ${title} method${from}.`,
    ...(others.length === 0 ? [] : [`## Models\n\n${list}`]),
    configurationSection(config.text).trimEnd(),
    ...(plan.recipe === undefined ? [] : [recipePart(plan.recipe, planHash(plan))]),
  ]
    .join("\n\n")
    .concat("\n");
}

/** The configuration with every default, and what it takes to make the model again and to check it. */
function recipePart({ program, text, options }: Recipe, hash: string): string {
  const command = program === "multi" ? "multi" : "merge";
  const out = program === "multi" ? "--out-path OUT -I WORK" : "OUT";
  return [
    "## Recipe",
    "The same with every default spelt out:",
    fenced(text),
    `The hash of its plan is \`${hash}\`. ` +
      `\`sinter ${command} mergekit_config.yml ${out}${optionText(options)}\` makes the model again, and ` +
      "`sinter verify` says whether a folder holds these bytes.",
  ].join("\n\n");
}

/** The configuration as it was written, fenced whatever it holds. */
export function configurationSection(text: string): string {
  return `## Configuration\n\n${fenced(text)}\n`;
}

/** A block of code, in a fence that the text cannot close. */
export function fenced(text: string, language = "yaml"): string {
  const fence = ticks(text, 3);
  return `${fence}${language}\n${text.trimEnd()}\n${fence}`;
}

/** A name in a line of text, whatever characters it is of. */
export function quoted(name: string): string {
  const text = visibleName(name);
  const fence = ticks(text, 1);
  return fence === "`" ? `\`${text}\`` : `${fence} ${text} ${fence}`;
}

/** More backticks than stand one after another in the text. */
function ticks(text: string, least: number): string {
  return "`".repeat(Math.max(least, ...[...text.matchAll(/`+/g)].map(([run]) => run.length + 1)));
}

/**
 * What the Hub reads. Only ids of the Hub: it refuses a card whose `base_model` is a path of some machine.
 * @param tags in addition to those of every merge.
 */
export function frontMatter(models: Pick<PlanModels, "all">, tags: readonly string[] = []): string {
  const ids = new Set(
    models.all.flatMap(({ model }) => model.made?.from ?? [model.ref]).flatMap((ref) => hubId(ref.model) ?? []),
  );
  const bases = [...ids].map((id) => `- ${JSON.stringify(id)}\n`).join("");
  return `${bases === "" ? "" : `base_model:\n${bases}base_model_relation: merge\n`}library_name: transformers\ntags:\n${["mergekit", "merge", "sinter", ...tags].map((tag) => `- ${tag}\n`).join("")}`;
}

/** The id on the Hub that a model was named by, if it was. */
export function hubIdOf({ model }: Pick<PlanModel, "model">): string | undefined {
  return hubId(model.ref.model);
}

/** A model's name, and where the Hub has it a link. */
export function linked({ model }: Pick<PlanModel, "model">): string {
  if (model.made !== undefined) {
    const origins = model.made.from.map((ref) => linkedPath(ref.model)).join(", ");
    return `${quoted(model.name)} (merged from ${origins})`;
  }
  return linkedPath(model.ref.model);
}

function linkedPath(path: ModelPath): string {
  const id = hubId(path);
  return id === undefined
    ? quoted(formatModelPath(path))
    : `[${formatModelPath({ ...path, path: id })}](https://huggingface.co/${id})`;
}

/** A name that could be either is the folder, if there is one; `hf://` before it rules that out. */
function hubId({ path }: ModelPath): string | undefined {
  const id = parseHubId(path);
  return id !== undefined && HUB_ID.test(id) && (id !== path || !existsSync(path)) ? id : undefined;
}
