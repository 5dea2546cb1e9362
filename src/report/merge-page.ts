import { gatherCounts } from "../plan/gather.ts";
import type { MergePlan } from "../plan/types.ts";
import { formatBytes, formatSeconds } from "../run/units.ts";
import { appliedFigures, appliedText } from "./applied.ts";
import { cosine, modelsOf, norms, relativeChange, signConflicts, stacksOf } from "./cells.ts";
import { cosineText, normText, shareText } from "./figures.ts";
import type { MeasuredTensor, MergeMeasure } from "./measure.ts";
import { stackFigures } from "./merge-maps.ts";
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
      ...stacks.flatMap((stack) => appliedFigures(stack, labels)),
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
      appliedText(tensor, labels),
    ]),
  };
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
