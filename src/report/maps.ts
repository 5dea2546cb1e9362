import type { Stack } from "./cells.ts";
import type { Grid as Field } from "./grid.ts";
import { type ColourScale, colourKey, colourScale, heatMap } from "./heat-map.ts";
import type { MeasuredTensor } from "./measure.ts";
import type { Chart } from "./page.ts";

/** A map to draw: a value for the tensors of each cell, NaN where there is no such number, undefined where no cell. */
export interface MapOf {
  caption?: string | undefined;
  value: (tensors: readonly MeasuredTensor[]) => number | undefined;
}

export interface Colours {
  kind: ColourScale["kind"];
  format: (value: number) => string;
  /** The value of full colour, where it is not for the values to say. */
  top?: number | undefined;
}

/** What a field of values has in its columns and rows. */
export type Grid = Omit<Field, "title">;

/** Maps of one stack of layers that share their colours, so that they can be compared. */
export function stackMaps(
  section: string,
  { modules, layers, at }: Stack,
  colours: Colours,
  maps: readonly MapOf[],
): Chart[] {
  const grid = { unit: "layer", columns: layers.map(String), rows: modules };
  const fields = maps.map(({ caption, value }) => ({
    caption,
    cells: layers.map((layer) =>
      modules.map((module) => {
        const tensors = at(layer, module);
        return tensors.length === 0 ? undefined : value(tensors);
      }),
    ),
  }));
  return gridMaps(section, grid, colours, fields);
}

/** Maps of any values, by column and then by row. */
export function gridMaps(
  section: string,
  { unit, columns, rows }: Grid,
  { kind, format, top }: Colours,
  fields: readonly { caption?: string | undefined; cells: readonly (readonly (number | undefined)[])[] }[],
): Chart[] {
  const values = fields.flatMap(({ cells }) => cells.flat().filter((value) => value !== undefined));
  const scale = colourScale(kind, values, format, top);
  return fields.map(({ caption, cells }) => ({
    caption,
    ...heatMap({
      title: caption === undefined ? section : `${section}: ${caption}`,
      unit,
      columns,
      rows,
      cells,
      scale,
    }),
    key: colourKey(scale),
    isMap: true,
    table: {
      head: [unit[0]?.toUpperCase() + unit.slice(1), ...rows],
      rows: columns.map((column, x) => [
        column,
        ...rows.map((_, y) => (cells[x]?.[y] === undefined ? "" : format(cells[x][y]))),
      ]),
    },
  }));
}
