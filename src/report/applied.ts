import type { Stack } from "./cells.ts";
import { heatMap } from "./heat-map.ts";
import type { MeasuredTensor } from "./measure.ts";
import type { Figure } from "./page.ts";

/** A parameter as it was evaluated for a tensor: of one model, or of the whole merge. */
export interface AppliedValue {
  /** `weight of a`, or `lambda`. */
  name: string;
  value: number | boolean;
}

/** The parameters of a tensor, gradients and filters evaluated. @param labels by model, what it is called. */
export function appliedValues({ op }: MeasuredTensor, labels: ReadonlyMap<string, string>): AppliedValue[] {
  const { inputs = [], parameters = {} } = op.applied ?? {};
  const own = inputs.flatMap((values, i) => {
    const model = op.inputs[i]?.model ?? "";
    return Object.entries(values).map(([name, value]) => [`${name} of ${labels.get(model) ?? model}`, value] as const);
  });
  return [...own, ...Object.entries(parameters)].flatMap(([name, value]) =>
    value === undefined ? [] : [{ name, value }],
  );
}

export function appliedText(tensor: MeasuredTensor, labels: ReadonlyMap<string, string>): string {
  const values = appliedValues(tensor, labels).map(({ name, value }) => `${name} ${short(value)}`);
  return [tensor.op.kernel, ...values].join(", ");
}

/** A map of each parameter that is not the same everywhere in the stack, and one table of those that are. */
export function appliedFigures(stack: Stack, labels: ReadonlyMap<string, string>): Figure[] {
  const { name: place, modules, layers, at } = stack;
  const cells = layers.map((layer) =>
    modules.map((module) => {
      const [first] = at(layer, module);
      return new Map(first && appliedValues(first, labels).map(({ name, value }) => [name, value]));
    }),
  );
  const names = [...new Set(cells.flat().flatMap((cell) => [...cell.keys()]))];
  const valuesOf = (name: string) => new Set(cells.flat().flatMap((cell) => cell.get(name) ?? []));
  const varying = names.filter((name) => valuesOf(name).size > 1);
  const maps = varying.map((name): Figure => {
    const title = `Applied: ${name}, ${place}`;
    const rows = cells.map((row) => row.map((cell) => cell.get(name)));
    const drawn = rows.map((row, i) => ({
      label: String(layers[i]),
      cells: row.map((value, j) => {
        const text = value === undefined ? "" : `layer ${layers[i]}, ${modules[j]}: ${short(value)}`;
        return value === undefined ? undefined : { value: Number(value), text };
      }),
    }));
    const isSigned = rows.flat().some((value) => Number(value) < 0);
    const svg = heatMap({ title, columns: modules, rows: drawn, scale: isSigned ? "signed" : "share", format: short });
    return {
      title,
      text: "As it was evaluated for each tensor.",
      charts: [{ svg }],
      head: ["Layer", ...modules],
      rows: rows.map((row, i) => [String(layers[i]), ...row.map((value) => (value === undefined ? "" : short(value)))]),
      folded: true,
    };
  });
  const constant = names.filter((name) => !varying.includes(name));
  const kernels = new Set(
    layers.flatMap((layer) => modules.flatMap((module) => at(layer, module).map(({ op }) => op.kernel))),
  );
  return [
    ...maps,
    {
      title: `Applied everywhere, ${place}`,
      text: `Parameters that are the same in all layers and modules. Computed by ${[...kernels].join(", ")}.`,
      charts: [],
      head: ["Parameter", "Value"],
      rows: constant.map((name) => [name, [...valuesOf(name)].map(short).join("")]),
    },
  ];
}

function short(value: number | boolean): string {
  return typeof value === "boolean" ? String(value) : String(Number(value.toPrecision(5)));
}
