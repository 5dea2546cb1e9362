import { configurationSection, frontMatter, linked, SINTER } from "../plan/card.ts";
import { visibleName } from "../visible.ts";
import type { MixtureModels } from "./models.ts";
import { promptText } from "./prompt-text.ts";
import { isRandom, type MixtureConfig } from "./types.ts";

/**
 * The README.md of a mixture: front matter that the Hub reads, the base, the experts with their prompts, the
 * configuration.
 * @param name the model's name: that of the output folder.
 */
export function mixtureCard(config: MixtureConfig, models: MixtureModels, architecture: string, name: string): string {
  const { base, of } = models;
  const described = (expert: MixtureConfig["experts"][number]) =>
    `- ${linked(of(expert.model))}${expert.positive.map((prompt) => `\n  - ${promptText(prompt)}`).join("")}`;
  const shared = config.shared.map(described).join("\n");
  const routers = isRandom(config.gateMode)
    ? "The routers are random numbers: the model is to be trained."
    : `The routers come from the experts' prompts (gate mode ${config.gateMode}).`;
  return [
    `---\n${frontMatter(models, ["moe"])}---`,
    `# ${visibleName(name)}`,
    `A ${architecture} mixture of ${config.experts.length} experts, of which ${config.expertsPerToken} work on a token, ` +
      `assembled with ${SINTER}. Attention, norms and embeddings are those of ${linked(base)}. ${routers}`,
    `## Experts\n\n${config.experts.map(described).join("\n")}`,
    ...(shared === "" ? [] : [`## Shared expert\n\n${shared}`]),
    configurationSection(config.text),
  ].join("\n\n");
}
