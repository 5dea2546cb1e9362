/**
 * Names of tensors in a family's definition. `{a,b}` stands for each of its parts in turn, `${prefix}` for the module's
 * prefix, `${layer}` for the number of the layer, `${layers}` for how many there are, and any other `${name}` for the
 * counter of the module's loop of that name. `+1` or `-1` may follow a number's name.
 */

import { SinterError } from "../errors.ts";

const PREFIX = /\$\{prefix\}/g;
const BRACES = /(?<!\$)\{([^{}]*)\}/;
const PLACEHOLDER = /\$\{([a-z_]+)([+-]\d+)?\}/g;

/** Beyond every real definition: brace lists multiply, and a slip or malice could fill the memory. */
const MAX_NAMES = 1000;

/** `{q,k}_proj.{weight,bias}` gives four names: the last list varies fastest. */
export function expandBraces(template: string): string[] {
  let names = [template];
  for (let list = BRACES.exec(template); list !== null; list = BRACES.exec(names[0] as string)) {
    const parts = (list[1] as string).split(",");
    if (names.length * parts.length > MAX_NAMES) {
      throw new SinterError({
        code: "definition-too-large",
        message: `"${template.slice(0, 60)}" stands for more than ${MAX_NAMES} names`,
      });
    }
    names = names.flatMap((name) => parts.map((part) => name.replace(BRACES, () => part)));
  }
  return names;
}

export function hasPrefix(template: string): boolean {
  return template.search(PREFIX) >= 0;
}

export function fillPrefix(template: string, prefix: string): string {
  return template.replace(PREFIX, () => prefix);
}

/** Names of the numbers in a template, `${prefix}` apart. */
export function numberNames(template: string): Set<string> {
  return new Set(
    [...template.matchAll(PLACEHOLDER)].flatMap(([, name]) => (name === "prefix" ? [] : [name as string])),
  );
}

/** Fills in a number; all others stay as they are. */
export function fillNumber(template: string, name: string, value: number): string {
  return template.replace(PLACEHOLDER, (whole, found, offset) =>
    found === name ? String(value + Number(offset ?? 0)) : whole,
  );
}

/** The template as a function of the number of the layer: made once, called for each layer. */
export function layerNames(template: string): (layer: number) => string {
  const match = /\$\{layer([+-]\d+)?\}/.exec(template);
  if (match === null) return () => template;
  const start = template.slice(0, match.index);
  const end = template.slice(match.index + match[0].length);
  const offset = Number(match[1] ?? 0);
  if (numberNames(end).has("layer")) return (layer) => start + (layer + offset) + fillNumber(end, "layer", layer);
  return (layer) => start + (layer + offset) + end;
}

/** What a template names, whatever the prefix and the number of the layer: all that follows the layer's number. */
export function templateKey(template: string): string {
  const match = /\$\{layer([+-]\d+)?\}\.?/.exec(template);
  return match === null ? fillPrefix(template, "") : template.slice(match.index + match[0].length);
}
