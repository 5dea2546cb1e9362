/**
 * Names of tensors in a family's definition. `{a,b}` stands for each of its parts in turn, `${prefix}` for the module's
 * prefix and `${layer}` for the number of the layer.
 */

const PREFIX = /\$\{prefix\}/g;
const LAYER = /\$\{layer\}/g;
const BRACES = /(?<!\$)\{([^{}]*)\}/;

/** `{q,k}_proj.{weight,bias}` gives four names: the last list varies fastest. */
export function expandBraces(template: string): string[] {
  const list = BRACES.exec(template);
  if (list === null) return [template];
  const start = template.slice(0, list.index);
  const ends = expandBraces(template.slice(list.index + list[0].length));
  return (list[1] ?? "").split(",").flatMap((part) => ends.map((end) => start + part + end));
}

export function hasPrefix(template: string): boolean {
  return template.search(PREFIX) >= 0;
}

export function fillPrefix(template: string, prefix: string): string {
  return template.replace(PREFIX, () => prefix);
}

export function fillLayer(template: string, layer: number): string {
  return template.replace(LAYER, String(layer));
}
