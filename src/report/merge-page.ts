import { gatherCounts } from "../plan/gather.ts";
import type { MergePlan } from "../plan/types.ts";
import { formatBytes, formatSeconds } from "../run/units.ts";
import { cosine, modelsOf, norms, relativeChange, type Stack, signConflicts, stacksOf } from "./cells.ts";
import { cosineText, normText, shareText } from "./figures.ts";
import { type HeatMap, heatMap } from "./heat-map.ts";
import type { MeasuredTensor, MergeMeasure } from "./measure.ts";
import { shortNames } from "./names.ts";
import { type Figure, renderPage } from "./page.ts";

/** How fast the merge was, where that is known. */
export interface MergeSpeed {
  seconds: number;
  bytesRead: number;
  bytesWritten: number;
  threads: number;
  target: string;
}

export interface MergeReport {
  /** The output's name. */
  name: string;
  plan: MergePlan;
  measure: MergeMeasure;
  speed: MergeSpeed | undefined;
}

/** More names than these are counted, not listed. */
const LISTED = 20;

/** What a merge did, as a page with maps and tables. */
export function mergePage({ name, plan, measure, speed }: MergeReport): string {
  const { tensors } = measure;
  const models = modelsOf(tensors);
  const short = shortNames(models);
  const labels = new Map(models.map((model, i) => [model, short[i] ?? model]));
  const { stacks, outside } = stacksOf(tensors);
  return renderPage({
    title: `Merge report: ${name}`,
    intro: [...introduction(plan, tensors), speedText(speed)],
    texts: [{ title: "Recipe", text: plan.recipe?.text ?? "The plan has no recipe." }],
    figures: [
      overall(tensors, labels),
      ...stacks.flatMap((stack) => stackFigures(stack, tensors, labels, plan.baseModel)),
      ...(outside.length === 0 ? [] : [outsideLayers(outside, labels)]),
      ...stacks.map(appliedNumbers),
    ],
    lists: [
      { title: "Vocabulary", items: vocabulary(plan) },
      { title: "NaN and infinity", items: nonFinite(tensors) },
      ...(plan.warnings.length === 0
        ? []
        : [
            {
              title: "Warnings",
              items: plan.warnings.map(({ message, tensor }) => (tensor ? `${tensor}: ${message}` : message)),
            },
          ]),
      ...(measure.notCompared.length === 0
        ? []
        : [{ title: "Not compared", items: some(measure.notCompared.map((one) => `${one.tensor}: ${one.reason}`)) }]),
    ],
  });
}

function introduction(
  { method, models, baseModel, seed, totals }: MergePlan,
  tensors: readonly MeasuredTensor[],
): string[] {
  const { parameters, bytesWritten } = totals;
  const broken = tensors.reduce((count, { nonFinite }) => count + nonFinite, 0);
  return [
    `Method ${method}, models ${models.join(", ")}, base ${baseModel ?? "none"}, seed ${seed}: ${totals.tensors} tensors, ` +
      `${parameters.toLocaleString("en")} parameters, ${formatBytes(bytesWritten)}.`,
    broken === 0
      ? "No NaN and no infinity in the output."
      : `The output has ${broken} elements that are a NaN or an infinity.`,
    "Every map has its figures in a table below it. Changes are measured from the base; where a tensor has none, from its " +
      "first input.",
  ];
}

function speedText(speed: MergeSpeed | undefined): string {
  if (speed === undefined) return "Speed is not recorded in an output folder: sinter merge --report writes it here.";
  const { seconds, bytesRead, bytesWritten, threads, target } = speed;
  const rate = formatBytes((bytesRead + bytesWritten) / Math.max(seconds, 1e-3));
  return (
    `Speed: ${formatSeconds(seconds)} for ${formatBytes(bytesRead)} read and ${formatBytes(bytesWritten)} written ` +
    `(${rate}/s), ${threads} threads, ${target}.`
  );
}

function overall(tensors: readonly MeasuredTensor[], labels: ReadonlyMap<string, string>): Figure {
  return {
    title: "The whole model",
    text:
      "How far the output lies from each input (as a share of the input's norm), the cosine between the output's change " +
      "and the input's, and norms before and after.",
    charts: [],
    head: ["Input", "Change", "Cosine", "Norm of the input", "Norm of the output there"],
    rows: [...labels].map(([model, label]) => {
      const made = tensors.filter(({ inputs }) => inputs.some((input) => input.model === model));
      const { input, output } = norms(made, model);
      return [
        label,
        shareText(relativeChange(made, model)),
        cosineText(cosine(made, model)),
        normText(input),
        normText(output),
      ];
    }),
  };
}

type Value = (tensors: readonly MeasuredTensor[]) => number;

function stackFigures(
  stack: Stack,
  all: readonly MeasuredTensor[],
  labels: ReadonlyMap<string, string>,
  base: string | undefined,
): Figure[] {
  const map = (title: string, text: string, scale: HeatMap["scale"], value: Value, write: (value: number) => string) =>
    mapFigure(`${title}, ${stack.name}`, text, stack, scale, value, write);
  const others = [...labels].filter(([model]) =>
    all.some(({ inputs }) => inputs.some((one) => one.model === model && !one.isReference)),
  );
  const reference = base ?? [...labels.keys()][0] ?? "";
  return [
    ...[...labels].map(([model, label]) =>
      map(
        `Change against ${label}`,
        "Norm of the difference between output and input, as a share of the input's norm.",
        "share",
        (tensors) => relativeChange(tensors, model),
        shareText,
      ),
    ),
    ...(all.some(({ others: count }) => count > 1)
      ? [map("Sign conflicts", CONFLICTS, "share", signConflicts, shareText)]
      : []),
    ...others.map(([model, label]) =>
      map(`Direction of ${label}`, DIRECTION, "signed", (tensors) => cosine(tensors, model), cosineText),
    ),
    map(
      `Norm after, relative to ${labels.get(reference) ?? reference}`,
      "Norm of the output divided by the norm of that input.",
      "share",
      (tensors) => {
        const { input, output } = norms(tensors, reference);
        return output / input;
      },
      (value) => (Number.isFinite(value) ? value.toFixed(4) : "-"),
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
  scale: HeatMap["scale"],
  value: Value,
  write: (value: number) => string,
): Figure {
  const cells = layers.map((layer) => modules.map((module) => cellOf(at(layer, module), value, write)));
  const rows = layers.map((layer, i) => ({
    label: String(layer),
    cells: (cells[i] ?? []).map((cell, j) => cell && { ...cell, text: `layer ${layer}, ${modules[j]}: ${cell.text}` }),
  }));
  return {
    title,
    text,
    charts: [{ svg: heatMap({ title, columns: modules, rows, scale }) }],
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

function outsideLayers(tensors: readonly MeasuredTensor[], labels: ReadonlyMap<string, string>): Figure {
  return {
    title: "Outside the layers",
    text: "Embedding, head and final norms: change against each input as above, sign conflicts, and what computed them.",
    charts: [],
    head: [
      "Tensor",
      ...[...labels.values()].map((label) => `Change against ${label}`),
      "Sign conflicts",
      "Computed by",
    ],
    rows: tensors.map((tensor) => [
      tensor.op.tensor,
      ...[...labels.keys()].map((model) => shareText(relativeChange([tensor], model))),
      shareText(signConflicts([tensor])),
      numbersOf(tensor),
    ]),
  };
}

/** The numbers that each tensor was computed with: gradients and filters are evaluated. */
function appliedNumbers({ name, modules, layers, at }: Stack): Figure {
  return {
    title: `Numbers as applied, ${name}`,
    text:
      "The kernel that computed each tensor and the numbers that it was given, gradients, filters and normalisation " +
      "evaluated: weights or t, then what else the method takes. docs/methods.md has the formulas.",
    charts: [],
    head: ["Layer", ...modules],
    rows: layers.map((layer) => [
      String(layer),
      ...modules.map((module) => [...new Set(at(layer, module).map(numbersOf))].slice(0, 2).join("; ")),
    ]),
    folded: true,
  };
}

function numbersOf({ op: { kernel, params } }: MeasuredTensor): string {
  const shown = params.slice(0, 8).map((value) => String(Number(value.toPrecision(4))));
  return [kernel, ...shown, ...(params.length > 8 ? ["…"] : [])].join(" ");
}

function vocabulary({ vocabulary: built, ops, tied }: MergePlan): string[] {
  const gathered = ops.flatMap((op) =>
    op.inputs.flatMap(({ model, gather }) => {
      if (gather === undefined) return [];
      const { own, others, zeros, means } = gatherCounts(gather);
      return [
        `${op.tensor} of ${model}: ${own} rows of its own, ${others} of other models, ${means} means, ${zeros} zeros`,
      ];
    }),
  );
  return [
    ...(built === undefined
      ? ["The tokenizer is that of the base, else of the first model; rows of embeddings keep their order."]
      : [
          `${built.tokens} tokens and ${built.padding} rows of padding.`,
          ...built.own.map(({ model, tokens }) => `${model} has ${tokens} of the tokens itself.`),
        ]),
    ...gathered,
    ...tied.map(({ tensor, follows }) => `${tensor} is tied to ${follows}, and not stored.`),
  ];
}

function nonFinite(tensors: readonly MeasuredTensor[]): string[] {
  const broken = tensors.filter((tensor) => tensor.nonFinite > 0);
  if (broken.length === 0) return [`All ${tensors.length} tensors of the output that were read are finite.`];
  return some(broken.map(({ op, nonFinite: count, elements }) => `${op.tensor}: ${count} of ${elements} elements`));
}

function some(items: readonly string[]): string[] {
  const rest = items.length - LISTED;
  return rest > 0 ? [...items.slice(0, LISTED), `and ${rest} more`] : [...items];
}
