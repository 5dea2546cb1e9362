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
  const fence = "`".repeat(Math.max(3, ...[...config.text.matchAll(/`+/g)].map(([run]) => run.length + 1)));
  return [
    `---\n${frontMatter(models)}---`,
    `# ${name}`,
    `Merged with Sinter by the ${title} method${from}.`,
    ...(others.length === 0 ? [] : [`## Models\n\n${list}`]),
    `## Configuration\n\n${fence}yaml\n${config.text.trimEnd()}\n${fence}\n`,
  ].join("\n\n");
}

/** Only ids of the Hub: it refuses a card whose `base_model` is a path of some machine. */
function frontMatter(models: PlanModels): string {
  const ids = new Set(
    models.all
      .map(({ model }) => model.ref.model)
      .filter(isHubId)
      .map(({ path }) => path),
  );
  const bases = [...ids].map((id) => `- ${JSON.stringify(id)}\n`).join("");
  return `${bases === "" ? "" : `base_model:\n${bases}base_model_relation: merge\n`}library_name: transformers\ntags:\n- mergekit\n- merge\n- sinter\n`;
}

/** The id on the Hub that a model was named by, if it was. */
export function hubIdOf({ model }: Pick<PlanModel, "model">): string | undefined {
  return isHubId(model.ref.model) ? model.ref.model.path : undefined;
}

/** A model's name in Markdown, with a link where it is on the Hub. */
export function linked({ model }: Pick<PlanModel, "model">): string {
  const path = model.ref.model;
  return isHubId(path)
    ? `[${formatModelPath(path)}](https://huggingface.co/${path.path})`
    : `\`${formatModelPath(path)}\``;
}

/** A name that could be either is the folder, if there is one. */
function isHubId({ path }: ModelPath): boolean {
  return HUB_ID.test(path) && !existsSync(path);
}
