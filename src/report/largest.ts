import { finite, type Stack, signConflicts } from "./cells.ts";
import { cosineText, shareText } from "./figures.ts";
import { followed } from "./follows.ts";
import type { MeasuredTensor } from "./measure.ts";
import type { Section } from "./page.ts";

/** More rows than these are a map's to show. */
const MOST = 12;

/**
 * Where the output lies farthest from what changes are measured from: the first thing that a reader asks.
 * @param others models besides the reference, with what they are called.
 */
export function largestSection(
  stacks: readonly Stack[],
  outside: readonly MeasuredTensor[],
  others: ReadonlyMap<string, string>,
): Section[] {
  const inStacks = stacks.flatMap(({ name, layers, modules, at }) =>
    layers.flatMap((layer) =>
      modules.map((module) => ({
        layer: stacks.length === 1 ? String(layer) : `${name} ${layer}`,
        module,
        tensors: at(layer, module),
      })),
    ),
  );
  const all = [...inStacks, ...outside.map((tensor) => ({ layer: "-", module: tensor.op.tensor, tensors: [tensor] }))];
  const changed = all
    .map((one) => ({ ...one, change: changeFromReference(one.tensors) }))
    .filter(({ change }) => change > 0)
    .sort((a, b) => b.change - a.change)
    .slice(0, MOST);
  const title = "Largest changes";
  if (changed.length === 0)
    return [{ title, text: "No element of the output differs from the base (else the first input)." }];
  const names = [...others.keys()];
  const labels = [...others.values()];
  const hasConflicts = changed.some(({ tensors }) => Number.isFinite(signConflicts(tensors)));
  return [
    {
      title,
      text:
        "Where the output lies farthest from the base (else the first input)" +
        (names.length === 0 ? "." : ", the input whose change this is most like, and the cosine between the two."),
      table: {
        head: [
          "Layer",
          "Module",
          "Change",
          ...(names.length === 0 ? [] : ["Follows", "Cosine"]),
          ...(hasConflicts ? ["Sign conflicts"] : []),
        ],
        words: names.length === 0 ? [1] : [1, 3],
        rows: changed.map(({ layer, module, change, tensors }) => {
          const best = followed(tensors, names);
          return [
            layer,
            module,
            shareText(change),
            ...(names.length === 0
              ? []
              : [best === undefined ? "-" : (labels[best.index] ?? ""), best ? cosineText(best.cosine) : "-"]),
            ...(hasConflicts ? [shareText(signConflicts(tensors))] : []),
          ];
        }),
      },
    },
  ];
}

/** As a share of the norm of what it is measured from, which may be another model in each tensor. */
function changeFromReference(all: readonly MeasuredTensor[]): number {
  const tensors = finite(all);
  const reference = tensors.flatMap(({ inputs }) => inputs.filter(({ isReference }) => isReference));
  const squares = reference.reduce((total, one) => total + one.squares, 0);
  return Math.sqrt(tensors.reduce((total, { change }) => total + change, 0) / squares);
}
