import type { Stack } from "./cells.ts";
import { lineChart } from "./line-chart.ts";
import { gridMaps } from "./maps.ts";
import type { MeasuredTensor } from "./measure.ts";
import type { Chart, Section } from "./page.ts";

/** A parameter as it was evaluated for a tensor: of one model, or of the whole merge. */
export interface AppliedValue {
  /** `weight`, and `a` where it is that of a model. */
  parameter: string;
  model: string | undefined;
  value: number | boolean;
}

/** The parameters of a tensor, gradients and filters evaluated. @param labels by model, what it is called. */
export function appliedValues({ op }: MeasuredTensor, labels: ReadonlyMap<string, string>): AppliedValue[] {
  const { inputs = [], parameters = {} } = op.applied ?? {};
  const given = (values: (typeof inputs)[number], model: string | undefined) =>
    Object.entries(values).flatMap(([parameter, value]) => (value === undefined ? [] : [{ parameter, model, value }]));
  const own = inputs.flatMap((values, i) => {
    const model = op.inputs[i]?.model ?? "";
    return given(values, labels.get(model) ?? model);
  });
  return [...own, ...given(parameters, undefined)];
}

export function appliedText(tensor: MeasuredTensor, labels: ReadonlyMap<string, string>): string {
  const values = appliedValues(tensor, labels).map((one) => `${nameOf(one)} ${short(one.value)}`);
  return [tensor.op.kernel, ...values].join(", ");
}

function nameOf({ parameter, model }: Pick<AppliedValue, "parameter" | "model">): string {
  return model === undefined ? parameter : `${parameter} of ${model}`;
}

/** Values of one parameter, by layer and module; undefined where a cell does not have it. */
interface Field extends Pick<AppliedValue, "parameter" | "model"> {
  cells: readonly (readonly (number | boolean | undefined)[])[];
}

/**
 * Parameters of a stack of layers: lines where a parameter depends on the layer only, maps where on the module as well,
 * and one table of those that are the same everywhere.
 */
export function appliedSection(stack: Stack, labels: ReadonlyMap<string, string>, suffix: string): Section {
  const { modules, layers, at } = stack;
  const title = `Parameters as applied${suffix}`;
  const fields = fieldsOf(stack, labels);
  const isConstant = ({ cells }: Field) => new Set(cells.flat().filter((value) => value !== undefined)).size < 2;
  const byLayer = fields.filter((field) => !isConstant(field) && field.cells.every(isUniform));
  const byModule = fields.filter((field) => !isConstant(field) && !field.cells.every(isUniform));
  const kernels = new Set(
    layers.flatMap((layer) => modules.flatMap((module) => at(layer, module).map(({ op }) => op.kernel))),
  );
  const constant = fields.filter(isConstant);
  return {
    title,
    text:
      (fields.length === 0
        ? "There are none. "
        : "Weights, densities and other parameters as they were evaluated for each tensor, gradients and filters included. ") +
      (constant.length === 0 ? "" : "The table has those that are the same in all layers and modules. ") +
      `Computed by ${[...kernels].join(", ")}.`,
    charts: [
      ...[...Map.groupBy(byLayer, ({ parameter }) => parameter)].map(([parameter, group]) =>
        linesOf(`${title}: ${parameter}`, parameter, group, layers),
      ),
      ...byModule.flatMap((field) =>
        gridMaps(
          title,
          { unit: "layer", columns: layers.map(String), rows: modules },
          { kind: field.cells.flat().some((value) => Number(value) < 0) ? "signed" : "share", format: short },
          [
            {
              caption: nameOf(field),
              cells: field.cells.map((row) => row.map((value) => (value === undefined ? undefined : Number(value)))),
            },
          ],
        ),
      ),
    ],
    table:
      constant.length === 0
        ? undefined
        : {
            head: ["Parameter", "Value"],
            rows: constant.map((field) => [nameOf(field), writtenValue(field.cells.flat())]),
          },
  };
}

function fieldsOf({ modules, layers, at }: Stack, labels: ReadonlyMap<string, string>): Field[] {
  const cells = layers.map((layer) =>
    modules.map((module) => {
      const [first] = at(layer, module);
      return new Map(first && appliedValues(first, labels).map((one) => [nameOf(one), one]));
    }),
  );
  const found = new Map(cells.flat().flatMap((cell) => [...cell]));
  return [...found].map(([name, { parameter, model }]) => ({
    parameter,
    model,
    cells: cells.map((row) => row.map((cell) => cell.get(name)?.value)),
  }));
}

function isUniform(row: readonly (number | boolean | undefined)[]): boolean {
  return new Set(row.filter((value) => value !== undefined)).size < 2;
}

function linesOf(title: string, caption: string, group: readonly Field[], layers: readonly number[]): Chart {
  const names = group.map(({ model }) => (model === undefined ? caption : `of ${model}`));
  const rows = group.map(({ cells }) => cells.map((row) => row.find((value) => value !== undefined)));
  const drawing = lineChart({
    title,
    unit: "layer",
    at: layers,
    series: rows.map((values, i) => ({ name: names[i] ?? "", values: values.map(Number) })),
    format: short,
  });
  const table = {
    head: ["Layer", ...names],
    rows: layers.map((layer, x) => [String(layer), ...rows.map((values) => writtenValue([values[x]]))]),
  };
  return { caption: group.length === 1 ? nameOf(group[0] as Field) : caption, drawing, table };
}

function writtenValue(values: readonly (number | boolean | undefined)[]): string {
  const value = values.find((one) => one !== undefined);
  return value === undefined ? "" : short(value);
}

function short(value: number | boolean): string {
  return typeof value === "boolean" ? String(value) : String(Number(value.toPrecision(5)));
}
