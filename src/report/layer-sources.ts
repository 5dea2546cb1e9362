import { placeOf, type Stack } from "./cells.ts";
import type { Section } from "./page.ts";

/** Layers one after another that were made of the same models, each of whose layers goes on with them. */
interface Run {
  first: number;
  last: number;
  /** By model: its label and its layer beside `first`. */
  sources: readonly { label: string; layer: number }[];
}

/**
 * Where the layers of the output come from; nothing where each was made of the same layer of the same models.
 * @param labels by model, what it is called.
 */
export function layersSection(stack: Stack, labels: ReadonlyMap<string, string>, suffix: string): Section[] {
  const runs: Run[] = [];
  for (const layer of stack.layers) {
    const sources = sourcesOf(stack, layer, labels);
    const run = runs.at(-1);
    if (run !== undefined && run.last === layer - 1 && goesOn(run, sources, layer)) run.last = layer;
    else runs.push({ first: layer, last: layer, sources });
  }
  const isPlain = runs.length < 2 && runs.every(({ first, sources }) => sources.every(({ layer }) => layer === first));
  if (isPlain) return [];
  return [
    {
      title: `Where layers come from${suffix}`,
      table: {
        head: ["Layers of the output", "Made of"],
        words: [1],
        rows: runs.map(({ first, last, sources }) => [
          rangeText(first, last),
          sources.map(({ label, layer }) => `${label} ${rangeText(layer, layer + last - first)}`).join(", ") ||
            "no model",
        ]),
      },
    },
  ];
}

/** The layers of models that a layer was made of, each once. */
function sourcesOf({ modules, at }: Stack, layer: number, labels: ReadonlyMap<string, string>): Run["sources"] {
  const found = new Map<string, { label: string; layer: number }>();
  for (const { op } of modules.flatMap((module) => at(layer, module))) {
    for (const { model, tensor } of op.inputs) {
      const own = placeOf(tensor)?.layer;
      if (own !== undefined) found.set(`${own} ${model}`, { label: labels.get(model) ?? model, layer: own });
    }
  }
  return [...found.values()];
}

function goesOn({ first, sources }: Run, next: Run["sources"], layer: number): boolean {
  if (sources.length !== next.length) return false;
  return sources.every((one, i) => next[i]?.label === one.label && next[i]?.layer === one.layer + layer - first);
}

function rangeText(first: number, last: number): string {
  return first === last ? String(first) : `${first} to ${last}`;
}
