import { existsSync } from "node:fs";
import type { MergeConfig } from "../config/types.ts";
import type { MergeMethod } from "../methods/types.ts";
import { formatModelPath, type ModelPath } from "../model/ref.ts";
import type { PlanModel, PlanModels } from "./models.ts";

/** `name` or `owner/name` as the Hub allows them: letters, digits, `-`, `_` and `.`, at most 96 characters each. */
const HUB_ID = /^[A-Za-z0-9][\w.-]{0,95}(?:\/[A-Za-z0-9_][\w.-]{0,95})?$/;

/**
 * The README.md of the output: front matter that the Hub reads, the method, the models and the configuration.
 * @param name the model's name: that of the output folder.
 */
export function modelCard(config: MergeConfig, method: MergeMethod, models: PlanModels, name: string): string {
  const base = method.base !== "member" ? models.base : undefined;
  const others = models.all.filter((model) => model !== base);
  const list = others.map((model) => `- ${linked(model)}`).join("\n");
  const from = base === undefined ? "" : `, with ${linked(base)} as the base`;
  const title = method.reference === undefined ? method.title : `[${method.title}](${method.reference})`;
  return [
    `---\n${frontMatter(models)}---`,
    `# ${name}`,
    `Merged with Sinter by the ${title} method${from}.`,
    ...(others.length === 0 ? [] : [`## Models\n\n${list}`]),
    configurationSection(config.text),
  ].join("\n\n");
}

/** The configuration as it was written, fenced whatever it holds. */
export function configurationSection(text: string): string {
  const fence = "`".repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map(([run]) => run.length + 1)));
  return `## Configuration\n\n${fence}yaml\n${text.trimEnd()}\n${fence}\n`;
}

/**
 * What the Hub reads. Only ids of the Hub: it refuses a card whose `base_model` is a path of some machine.
 * @param tags in addition to those of every merge.
 */
export function frontMatter(models: Pick<PlanModels, "all">, tags: readonly string[] = []): string {
  const ids = new Set(
    models.all
      .map(({ model }) => model.ref.model)
      .filter(isHubId)
      .map(({ path }) => path),
  );
  const bases = [...ids].map((id) => `- ${JSON.stringify(id)}\n`).join("");
  return `${bases === "" ? "" : `base_model:\n${bases}base_model_relation: merge\n`}library_name: transformers\ntags:\n${["mergekit", "merge", "sinter", ...tags].map((tag) => `- ${tag}\n`).join("")}`;
}

/** A model's name, and where the Hub has it a link. */
export function linked({ model }: PlanModel): string {
  const path = model.ref.model;
  return isHubId(path)
    ? `[${formatModelPath(path)}](https://huggingface.co/${path.path})`
    : `\`${formatModelPath(path)}\``;
}

/** A name that could be either is the folder, if there is one. */
function isHubId({ path }: ModelPath): boolean {
  return HUB_ID.test(path) && !existsSync(path);
}
