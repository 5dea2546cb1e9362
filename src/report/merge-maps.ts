import { cosine, norms, relativeChange, type Stack, signConflicts } from "./cells.ts";
import { cosineText, shareText } from "./figures.ts";
import { type HeatMap, heatMap } from "./heat-map.ts";
import type { MeasuredTensor } from "./measure.ts";
import type { Figure } from "./page.ts";

type Value = (tensors: readonly MeasuredTensor[]) => number;
type Colours = Pick<HeatMap, "scale" | "top" | "format">;

/** A map of each kind for one stack of layers. @param labels by model, what it is called. */
export function stackFigures(
  stack: Stack,
  all: readonly MeasuredTensor[],
  labels: ReadonlyMap<string, string>,
  base: string | undefined,
): Figure[] {
  const map = (title: string, text: string, colours: Colours, value: Value) =>
    mapFigure(`${title}, ${stack.name}`, text, stack, colours, value);
  const others = [...labels].filter(([model]) =>
    all.some(({ inputs }) => inputs.some((one) => one.model === model && !one.isReference)),
  );
  const reference = base ?? [...labels.keys()][0] ?? "";
  return [
    ...[...labels].map(([model, label]) =>
      map(
        `Change against ${label}`,
        "Norm of the difference between output and input, as a share of the input's norm.",
        { scale: "share", format: shareText },
        (tensors) => relativeChange(tensors, model),
      ),
    ),
    ...(all.some(({ others: count }) => count > 1)
      ? [map("Sign conflicts", CONFLICTS, { scale: "share", format: shareText }, signConflicts)]
      : []),
    ...others.map(([model, label]) =>
      map(`Direction of ${label}`, DIRECTION, { scale: "signed", top: 1, format: cosineText }, (tensors) =>
        cosine(tensors, model),
      ),
    ),
    map(
      `Change of the norm against ${labels.get(reference) ?? reference}`,
      "By how much the norm of the output is larger or smaller than that input's.",
      { scale: "signed", format: signedShare },
      (tensors) => {
        const { input, output } = norms(tensors, reference);
        return output / input - 1;
      },
    ),
  ];
}

const CONFLICTS =
  "Of the elements that some input changed, the share in which two inputs went in opposite directions. A property of the " +
  "inputs, the same for every method.";
const DIRECTION =
  "Cosine between the output's change and this input's: 1 is the same direction, 0 a right angle, -1 the opposite.";

function mapFigure(
  title: string,
  text: string,
  { modules, layers, at }: Stack,
  colours: Colours,
  value: Value,
): Figure {
  const cells = layers.map((layer) => modules.map((module) => cellOf(at(layer, module), value, colours.format)));
  const rows = layers.map((layer, i) => ({
    label: String(layer),
    cells: (cells[i] ?? []).map((cell, j) => cell && { ...cell, text: `layer ${layer}, ${modules[j]}: ${cell.text}` }),
  }));
  return {
    title,
    text,
    charts: [{ svg: heatMap({ title, columns: modules, rows, ...colours }) }],
    head: ["Layer", ...modules],
    rows: layers.map((layer, i) => [String(layer), ...(cells[i] ?? []).map((cell) => cell?.text ?? "")]),
    folded: true,
  };
}

function cellOf(tensors: readonly MeasuredTensor[], value: Value, write: (value: number) => string) {
  if (tensors.length === 0) return undefined;
  const number = value(tensors);
  return { value: number, text: write(number) };
}

function signedShare(value: number): string {
  return value > 0 ? `+${shareText(value)}` : shareText(value);
}
