import { cosine, type Stack } from "./cells.ts";
import { cosineText } from "./figures.ts";
import { drawGrid, type GridLabel, HATCHED } from "./grid.ts";
import { NO_NUMBER_KEY } from "./heat-map.ts";
import type { MeasuredTensor } from "./measure.ts";
import type { Chart } from "./page.ts";
import { legend, seriesColour } from "./series.ts";

/** The input whose change the output's change is most like. */
export interface Followed {
  /** Which of the models that were asked about. */
  index: number;
  cosine: number;
}

/** @returns undefined where the output did not change, or none of the models did, or it went against all of them. */
export function followed(tensors: readonly MeasuredTensor[], models: readonly string[]): Followed | undefined {
  return models
    .map((model, index) => ({ index, cosine: cosine(tensors, model) }))
    .filter((one) => one.cosine > 0)
    .reduce<Followed | undefined>(
      (best, one) => (best === undefined || one.cosine > best.cosine ? one : best),
      undefined,
    );
}

/** The faintest a cell may be: its colour is still to be seen. */
const FAINTEST = 0.25;
/** A label takes as many CSS pixels. */
const LABEL = 16;

/**
 * A map of the inputs that each module of each layer follows: a colour and a number each, the stronger the more alike.
 * @param models those besides the reference, with what they are called.
 */
export function followsMap(title: string, { layers, modules, at }: Stack, models: ReadonlyMap<string, string>): Chart {
  const names = [...models.keys()];
  const labels = [...models.values()];
  const cells = layers.map((layer) =>
    modules.map((module) => {
      const tensors = at(layer, module);
      return tensors.length === 0 ? undefined : (followed(tensors, names) ?? ("none" as const));
    }),
  );
  const columns = layers.map(String);
  const hasNone = cells.flat().includes("none");
  const { drawing, width } = drawGrid(
    { title, unit: "layer", columns, rows: modules },
    cells.flatMap((column, x) =>
      column.flatMap((one, y) => {
        if (one === undefined) return [];
        if (one === "none") return [{ x, y, fill: HATCHED }];
        return [{ x, y, fill: seriesColour(one.index), opacity: FAINTEST + (1 - FAINTEST) * one.cosine }];
      }),
    ),
    (cellWidth) =>
      modules.flatMap((_, y) =>
        runLabels(
          cells.map((column) => column[y]),
          y,
          cellWidth,
        ),
      ),
  );
  const numbered = labels.map((label, i) => `${i + 1} ${label}`);
  return {
    drawing: legend(numbered) + drawing,
    width,
    key: hasNone ? `<div class="key">${NO_NUMBER_KEY}</div>` : undefined,
    isMap: true,
    table: {
      head: ["Layer", ...modules],
      rows: columns.map((column, x) => [
        column,
        ...(cells[x] ?? []).map((one) => {
          if (one === undefined) return "";
          return one === "none" ? "-" : `${labels[one.index]} ${cosineText(one.cosine)}`;
        }),
      ]),
    },
  };
}

/** The number of an input once for all cells beside each other that follow it, in their middle, where there is room. */
function runLabels(row: readonly (Followed | "none" | undefined)[], y: number, cellWidth: number): GridLabel[] {
  const indexOf = (x: number) => {
    const one = row[x];
    return one === undefined || one === "none" ? undefined : one.index;
  };
  const found: GridLabel[] = [];
  for (let first = 0; first < row.length; ) {
    let end = first + 1;
    while (end < row.length && indexOf(end) === indexOf(first)) end++;
    const index = indexOf(first);
    if (index !== undefined && (end - first) * cellWidth >= LABEL) {
      found.push({ x: (first + end - 1) / 2, y, text: String(index + 1) });
    }
    first = end;
  }
  return found;
}
