import type { MergePlan } from "../plan/types.ts";
import { appliedSection, appliedText } from "./applied.ts";
import {
  cosine,
  finite,
  modelsOf,
  norms,
  othersOf,
  relativeChange,
  shareTaken,
  signConflicts,
  stacksOf,
} from "./cells.ts";
import { cosineText, normText, shareText } from "./figures.ts";
import { followed } from "./follows.ts";
import { largestSection } from "./largest.ts";
import { layersSection } from "./layer-sources.ts";
import type { MeasuredTensor, MergeMeasure } from "./measure.ts";
import { stackSections } from "./merge-maps.ts";
import { shortNames } from "./names.ts";
import { type Fact, renderPage, type Section } from "./page.ts";
import {
  type MergeSpeed,
  mergeFacts,
  nonFiniteSection,
  notCompared,
  recipeSection,
  SPEED_NOTE,
  warnings,
} from "./sections.ts";
import { vocabularySection } from "./vocabulary.ts";

export interface MergeReport {
  /** The output's name. */
  name: string;
  plan: MergePlan;
  measure: MergeMeasure;
  /** Where that is known. */
  speed: MergeSpeed | undefined;
}

/** What a merge did, as a page with maps and tables. */
export function mergePage({ name, plan, measure, speed }: MergeReport): string {
  const { tensors } = measure;
  const models = modelsOf(tensors);
  const short = shortNames(models);
  const labels = new Map(models.map((model, i) => [model, short[i] ?? model]));
  const { stacks, outside } = stacksOf(tensors);
  const suffixOf = (stack: { name: string }) => (stacks.length === 1 ? "" : `, ${stack.name}`);
  const sections: Section[] = [
    recipeSection(plan),
    overall(tensors, labels),
    ...largestSection(stacks, outside, othersOf(tensors, labels)),
    ...stacks.flatMap((stack) =>
      stackSections(stack, tensors, { models: labels, suffix: suffixOf(stack), base: plan.baseModel }),
    ),
    ...stacks.map((stack) => appliedSection(stack, labels, suffixOf(stack))),
    ...stacks.flatMap((stack) => layersSection(stack, labels, suffixOf(stack))),
    ...(outside.length === 0 ? [] : [outsideLayers(outside, labels)]),
    vocabularySection(plan),
    nonFiniteSection(tensors),
    ...warnings(plan),
    ...notCompared(measure),
  ];
  return renderPage({
    title: `Merge report: ${name}`,
    intro: introduction(plan, speed),
    facts: facts(plan, measure, speed),
    sections,
  });
}

function introduction({ models, baseModel }: MergePlan, speed: MergeSpeed | undefined): string[] {
  const base = baseModel === undefined ? "There is no base." : `The base is ${baseModel}.`;
  return [
    `Made of ${models.join(", ")}. ${base}`,
    "Changes are measured from the base; where a tensor has none, from its first input. Every drawing has its figures in a " +
      "table below it." +
      (speed === undefined ? ` ${SPEED_NOTE}` : ""),
  ];
}

function facts(plan: MergePlan, measure: MergeMeasure, speed: MergeSpeed | undefined): Fact[] {
  return [{ name: "Method", value: plan.method }, ...mergeFacts(plan, measure.tensors, speed)];
}

function overall(tensors: readonly MeasuredTensor[], labels: ReadonlyMap<string, string>): Section {
  const broken = tensors.length - finite(tensors).length;
  const leftOut =
    broken === 0
      ? ""
      : ` Tensors with a NaN or an infinity, ${broken} in all, are left out of all figures on this page.`;
  return {
    title: "The whole model",
    text:
      "How far the output lies from each input (as a share of the input's norm), the cosine between the output's change " +
      `and the input's, how much of the input's change the output has along it, and norms before and after.${leftOut}`,
    table: {
      head: ["Input", "Change", "Cosine", "Of its change", "Norm of the input", "Norm of the output there"],
      rows: [...labels].map(([model, label]) => {
        const made = tensors.filter(({ inputs }) => inputs.some((input) => input.model === model));
        const { input, output } = norms(made, model);
        return [
          label,
          shareText(relativeChange(made, model)),
          cosineText(cosine(made, model)),
          shareText(shareTaken(made, model)),
          normText(input),
          normText(output),
        ];
      }),
    },
  };
}

function outsideLayers(tensors: readonly MeasuredTensor[], labels: ReadonlyMap<string, string>): Section {
  const others = [...othersOf(tensors, labels)];
  const hasConflicts = tensors.some((tensor) => Number.isFinite(signConflicts([tensor])));
  return {
    title: "Outside the layers",
    text:
      "Embedding, head and final norms: change against each input, the input that the change follows (with the cosine), and " +
      "sign conflicts, all as above; then what computed them.",
    table: {
      head: [
        "Tensor",
        ...[...labels.values()].map((label) => `Against ${label}`),
        ...(others.length < 2 ? [] : ["Follows"]),
        ...(hasConflicts ? ["Sign conflicts"] : []),
      ],
      rows: tensors.map((tensor) => {
        const best = followed(
          [tensor],
          others.map(([model]) => model),
        );
        const follows = best === undefined ? "-" : `${others[best.index]?.[1]} ${cosineText(best.cosine)}`;
        return [
          tensor.op.tensor,
          ...[...labels.keys()].map((model) => shareText(relativeChange([tensor], model))),
          ...(others.length < 2 ? [] : [follows]),
          ...(hasConflicts ? [shareText(signConflicts([tensor]))] : []),
        ];
      }),
    },
    items: tensors.map((tensor) => `${tensor.op.tensor}: ${appliedText(tensor, labels)}`),
  };
}
