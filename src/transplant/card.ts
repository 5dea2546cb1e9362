import { hubIdOf, linked, SINTER } from "../plan/card.ts";
import { visibleName } from "../visible.ts";
import type { TransplantOptions } from "./methods.ts";
import type { TokenModel } from "./models.ts";

/** The README.md of the output: front matter that the Hub reads, the two models, and how missing tokens were made. */
export function transplantCard(
  original: TokenModel,
  donor: TokenModel,
  options: TransplantOptions,
  name: string,
): string {
  const id = hubIdOf(original);
  const base = id === undefined ? "" : `base_model:\n- ${JSON.stringify(id)}\n`;
  return [
    `---\n${base}library_name: transformers\ntags:\n- sinter\n- tokenizer-transplant\n---`,
    `# ${visibleName(name)}`,
    `${linked(original)} with the tokenizer of ${linked(donor)}, transplanted with ${SINTER}.`,
    `Rows of tokens that both have are those of ${linked(original)}; the others were approximated (${describe(options)}).`,
  ].join("\n\n");
}

/** `omp, k = 64`: what decides the numbers, in the order of importance. */
export function describe(options: TransplantOptions): string {
  const { method, k, cosine, weightScheme, subwordMethod, prefixMatch, byteMatch, magikarp, noise, scale } = options;
  const parts: string[] = [method];
  if (["omp", "common_interpolation", "stb", "mp_rope"].includes(method)) parts.push(`k = ${k}`);
  if (method === "common_interpolation") parts.push(cosine ? "cosine" : "distance", weightScheme);
  if (method === "subword") parts.push(subwordMethod);
  if (prefixMatch !== "no") parts.push(`prefix match ${prefixMatch}`);
  if (byteMatch !== "no") parts.push(`byte match ${byteMatch}`);
  if (magikarp) parts.push("magikarp");
  if (noise !== 0) parts.push(`noise ${noise}`);
  if (scale !== 1) parts.push(`scale ${scale}`);
  return parts.join(", ");
}
