import {
  cosine,
  expertsOf,
  norms,
  othersOf,
  referenceNorms,
  relativeChange,
  type Stack,
  signConflicts,
} from "./cells.ts";
import { expertGroups, groupName, groupNote } from "./expert-groups.ts";
import { cosineText, normText, shareText, signedShareText } from "./figures.ts";
import { followsMap } from "./follows.ts";
import { lineChart } from "./line-chart.ts";
import { gridMaps, stackMaps } from "./maps.ts";
import type { MeasuredTensor } from "./measure.ts";
import type { Section } from "./page.ts";

/** What the sections on one stack of layers are made with. */
export interface Labels {
  /** By model, what it is called. */
  models: ReadonlyMap<string, string>;
  /** Behind the title of every section: nothing where there is one stack only. */
  suffix: string;
  base: string | undefined;
}

const FOLLOWS =
  "The input whose change the output's change is most like: the stronger the colour, the larger the cosine between the two. " +
  "How large the change is, the next maps say.";
const CHANGE =
  "Norm of the difference between output and input, as a share of the input's norm. Against the base, that is what the merge " +
  "changed; against another input, what it has not taken over from it.";

/** @param others how many inputs there are besides the reference. */
function conflictsText(others: number): string {
  const chance = shareText(1 - 2 ** (1 - others));
  return (
    "Of the elements that some input changed, the share in which two inputs went in opposite directions. A property of the " +
    `inputs, the same for every method. ${others} inputs that have nothing to do with each other and change every element ` +
    `have ${chance}.`
  );
}

const DIRECTION =
  "Cosine between the output's change and this input's: 1 is the same direction, 0 a right angle, -1 the opposite.";
const NORMS =
  "By how much the norm of the output is larger or smaller than an input's: by layer, then by layer and module.";

/** A section of maps of each kind for one stack of layers. */
export function stackSections(stack: Stack, all: readonly MeasuredTensor[], labels: Labels): Section[] {
  const { models, suffix } = labels;
  const others = othersOf(all, models);
  const section = (title: string, text: string, charts: (title: string) => Section["charts"]): Section => {
    return { title: title + suffix, text, charts: charts(title + suffix) };
  };
  const share = { kind: "share", format: shareText } as const;
  return [
    ...(others.size < 2
      ? []
      : [section("Which input each change follows", FOLLOWS, (title) => [followsMap(title, stack, others)])]),
    section("Change against each input", CHANGE, (title) =>
      stackMaps(
        title,
        stack,
        share,
        [...models].map(([model, caption]) => ({ caption, value: of(model, relativeChange) })),
      ),
    ),
    ...expertSection(stack, labels),
    ...(all.some(({ others: count }) => count > 1)
      ? [
          section("Sign conflicts", conflictsText(others.size), (title) =>
            stackMaps(title, stack, share, [{ value: signConflicts }]),
          ),
        ]
      : []),
    ...(others.size === 0
      ? []
      : [
          section("Direction of each input", DIRECTION, (title) =>
            stackMaps(
              title,
              stack,
              { kind: "signed", top: 1, format: cosineText },
              [...others].map(([model, caption]) => ({ caption, value: of(model, cosine) })),
            ),
          ),
        ]),
    section("Norms before and after", NORMS, (title) => normCharts(title, stack, labels)),
  ];
}

/** A value against a model, of those cells that were made of it. */
function of(model: string, value: (tensors: readonly MeasuredTensor[], model: string) => number) {
  return (tensors: readonly MeasuredTensor[]) => {
    const made = tensors.some(({ inputs }) => inputs.some((input) => input.model === model));
    return made ? value(tensors, model) : undefined;
  };
}

function normCharts(title: string, stack: Stack, { models, base }: Labels): NonNullable<Section["charts"]> {
  const { layers, modules, at } = stack;
  const byLayer = layers.map((layer) => {
    const tensors = modules.flatMap((module) => at(layer, module));
    return [...models.keys()].map((model) => norms(tensors, model));
  });
  const growth = ({ input, output }: { input: number; output: number }) => output / input - 1;
  return [
    {
      caption: "by layer",
      drawing: lineChart({
        title: `${title}: by layer`,
        unit: "layer",
        at: layers,
        series: [...models.values()].map((label, i) => ({
          name: `against ${label}`,
          values: byLayer.map((row) => growth(row[i] as { input: number; output: number })),
        })),
        format: signedShareText,
      }),
      table: {
        head: ["Layer", ...[...models.values()].flatMap((label) => [label, "output", "change"])],
        rows: layers.map((layer, i) => [
          String(layer),
          ...(byLayer[i] ?? []).flatMap((one) => [
            normText(one.input),
            normText(one.output),
            signedShareText(growth(one)),
          ]),
        ]),
      },
    },
    ...stackMaps(title, stack, { kind: "signed", format: signedShareText }, [
      {
        caption: base === undefined ? "against the first input of each" : `against ${models.get(base) ?? base}`,
        value: (tensors) => growth(referenceNorms(tensors)),
      },
    ]),
  ];
}

/** Where a layer has experts, the change of each of them: the maps by module have all experts in one cell. */
function expertSection(stack: Stack, { models, suffix, base }: Labels): Section[] {
  const experts = expertsOf(stack);
  if (experts === undefined) return [];
  const { count, at } = experts;
  const groups = expertGroups(count, stack.layers.length);
  const reference = base ?? [...models.keys()][0] ?? "";
  const title = `Change by expert${suffix}`;
  const label = models.get(reference) ?? reference;
  const field = stack.layers.map((layer) =>
    groups.map(({ first, last }) => {
      const members = Array.from({ length: last - first + 1 }, (_, i) => at(layer, first + i));
      const changes = members.filter((one) => one.length > 0).map((one) => relativeChange(one, reference));
      return changes.length === 0 ? undefined : Math.max(...changes);
    }),
  );
  return [
    {
      title,
      text: `Change of each expert's weights together against ${label}.${groupNote(groups)}`,
      charts: gridMaps(
        title,
        { unit: "layer", columns: stack.layers.map(String), rows: groups.map(groupName) },
        { kind: "share", format: shareText },
        [{ cells: field }],
      ),
    },
  ];
}
