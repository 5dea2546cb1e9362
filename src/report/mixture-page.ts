import { formatModelRef } from "../model/ref.ts";
import type { MixtureConfig } from "../moe/types.ts";
import type { MergePlan } from "../plan/types.ts";
import { placeOf, relativeChange } from "./cells.ts";
import { expertGroups, groupName, groupNote } from "./expert-groups.ts";
import { cosineText, normText, shareText } from "./figures.ts";
import { gridMaps } from "./maps.ts";
import type { MeasuredTensor, MergeMeasure } from "./measure.ts";
import { isRouter, type MixtureMeasure } from "./mixture-measure.ts";
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

export interface MixtureReport {
  /** The output's name. */
  name: string;
  plan: MergePlan;
  config: MixtureConfig;
  measure: MergeMeasure;
  mixture: MixtureMeasure;
  speed: MergeSpeed | undefined;
}

/** More experts than these have no map of each with each. */
const MOST_PAIRS = 64;

/** What a mixture of experts was made of, as a page. */
export function mixturePage({ name, plan, config, measure, mixture, speed }: MixtureReport): string {
  const labels = expertLabels(config);
  const sections: Section[] = [
    recipeSection(plan),
    expertTable(config, measure.tensors),
    ...differences(mixture, labels),
    ...routers(mixture, labels),
    sources(plan, measure.tensors),
    vocabularySection(plan),
    nonFiniteSection(measure.tensors),
    ...warnings(plan),
    ...notCompared({ notCompared: measure.notCompared.filter(({ reason }) => reason !== "made of no input") }),
  ];
  const facts: Fact[] = [
    { name: "Experts", value: `${config.experts.length}, ${config.expertsPerToken} a token` },
    ...(config.shared.length === 0 ? [] : [{ name: "Shared experts", value: String(config.shared.length) }]),
    { name: "Routers", value: config.gateMode },
    ...mergeFacts(plan, measure.tensors, speed),
  ];
  const intro = [
    `A mixture of experts: attention, norms and embeddings of ${formatModelRef(config.baseModel.ref)}.`,
    `Every drawing has its figures in a table below it.${speed === undefined ? ` ${SPEED_NOTE}` : ""}`,
  ];
  return renderPage({ title: `Mixture report: ${name}`, intro, facts, sections });
}

/** What the maps have a row for: an expert, or a group of neighbours, of which the largest value is shown. */
interface Rows {
  labels: readonly string[];
  note: string;
  /** From values by expert to those by row. */
  of(values: readonly number[]): number[];
}

function rowsOf(labels: readonly string[], layers: number): Rows {
  const groups = expertGroups(labels.length, layers);
  return {
    note: groupNote(groups),
    labels: groups.map((group) => (group.first === group.last ? (labels[group.first] as string) : groupName(group))),
    of: (values) => groups.map(({ first, last }) => Math.max(...values.slice(first, last + 1))),
  };
}

/** `0 math`, by expert. */
function expertLabels({ experts }: MixtureConfig): string[] {
  return shortNames(experts.map(({ model }) => formatModelRef(model.ref))).map((model, i) => `${i} ${model}`);
}

/** Who the experts are, and whether the output has their weights. */
function expertTable({ experts, shared }: MixtureConfig, tensors: readonly MeasuredTensor[]): Section {
  const row = (expert: MixtureConfig["experts"][number], number: string, weights: readonly MeasuredTensor[]) => {
    const change = relativeChange(weights, weights[0]?.inputs[0]?.model ?? "");
    return [
      number,
      formatModelRef(expert.model.ref),
      weights.length === 0 ? "-" : change === 0 ? "the same" : shareText(change),
      String(expert.noise),
      String(expert.residual),
      promptsText(expert.positive),
      promptsText(expert.negative),
    ];
  };
  const ofExpert = Map.groupBy(tensors, (tensor) => expertOf(tensor, experts.length));
  const ofShared = tensors.filter(({ op }) => /shared_experts?\./.test(op.tensor));
  return {
    title: "Experts",
    text: "Whose feed-forward weights each expert has, how far they are from that model's, and the prompts it is for.",
    table: {
      head: [
        "Expert",
        "Weights of",
        "Difference from it",
        "Noise",
        "Residual scale",
        "Positive prompts",
        "Negative prompts",
      ],
      words: [1, 5, 6],
      rows: [
        ...experts.map((expert, i) => row(expert, String(i), ofExpert.get(i) ?? [])),
        ...shared.map((expert, i) => row(expert, `shared ${i}`, ofShared)),
      ],
    },
  };
}

/** The number of the routed expert that a tensor, or a piece of one, belongs to. */
function expertOf({ op, piece }: MeasuredTensor, experts: number): number | undefined {
  if (piece !== undefined && piece.of % experts === 0) return Math.floor(piece.index / (piece.of / experts));
  return placeOf(op.tensor)?.expert;
}

/** Most characters of a prompt, and most prompts, that are shown. */
const PROMPT = 60;
const PROMPTS = 3;

function promptsText(prompts: readonly string[]): string {
  if (prompts.length === 0) return "none";
  const shown = prompts.slice(0, PROMPTS).map((text) => (text.length > PROMPT ? `${text.slice(0, PROMPT)}…` : text));
  const rest = prompts.length - shown.length;
  return `${shown.map((text) => `“${text}”`).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function differences({ differences: found }: MixtureMeasure, labels: readonly string[]): Section[] {
  if (found.length === 0 || labels.length < 2) return [];
  const title = "Differences between experts";
  const rows = rowsOf(labels, found.length);
  return [
    {
      title,
      text:
        "Norm of the difference of an expert's weights from those of the first, as a share of their norm. Experts that do " +
        `not differ gain nothing from a router.${rows.note}`,
      charts: gridMaps(
        title,
        { unit: "layer", columns: found.map(({ layer }) => String(layer)), rows: rows.labels },
        { kind: "share", format: shareText },
        [{ cells: found.map(({ values }) => rows.of(values)) }],
      ),
    },
  ];
}

function routers({ routers: found }: MixtureMeasure, labels: readonly string[]): Section[] {
  if (found.length === 0) return [];
  const columns = found.map(({ layer }) => String(layer));
  const rows = rowsOf(labels, found.length);
  const grid = { unit: "layer", columns, rows: rows.labels };
  const { note } = rows;
  const norms = "Norm of the routers' vectors";
  const nearest = "Nearest other expert";
  return [
    {
      title: norms,
      text:
        "A token goes to the experts whose vector has the largest product with its state: a longer vector is chosen more " +
        `often.${note}`,
      charts: gridMaps(norms, grid, { kind: "share", format: normText }, [
        { cells: found.map((one) => rows.of(one.norms)) },
      ]),
    },
    ...(labels.length < 2
      ? []
      : [
          {
            title: nearest,
            text:
              "The largest cosine between an expert's vector and another's, by layer: at 1, the router cannot tell them " +
              `apart.${note}`,
            charts: gridMaps(nearest, grid, { kind: "signed", top: 1, format: cosineText }, [
              {
                cells: found.map(({ cosines }) =>
                  rows.of(cosines.map((row, i) => Math.max(...row.filter((_, j) => j !== i)))),
                ),
              },
            ]),
          },
        ]),
    ...(labels.length < 2 || labels.length > MOST_PAIRS ? [] : [pairs(found, labels)]),
  ];
}

function pairs(found: MixtureMeasure["routers"], labels: readonly string[]): Section {
  const title = "Experts that are routed alike";
  const mean = (a: number, b: number) =>
    found.reduce((sum, { cosines }) => sum + (cosines[a]?.[b] ?? Number.NaN), 0) / found.length;
  const cells = labels.map((_, a) => labels.map((_, b) => mean(a, b)));
  return {
    title,
    text: "Cosine between the routers' vectors of two experts, the mean of all layers.",
    charts: gridMaps(
      title,
      { unit: "expert", columns: labels.map((_, i) => String(i)), rows: labels },
      { kind: "signed", top: 1, format: cosineText },
      [{ cells }],
    ),
  };
}

/** By kind of weight: which models it was taken from, and whether it was changed on the way. */
function sources(plan: MergePlan, tensors: readonly MeasuredTensor[]): Section {
  const kindOf = (tensor: string) => placeOf(tensor)?.module ?? tensor;
  const measured = Map.groupBy(tensors, ({ op }) => kindOf(op.tensor));
  const kinds = Map.groupBy(plan.ops, ({ tensor }) => kindOf(tensor));
  return {
    title: "Where weights come from",
    table: {
      head: ["Weight", "Tensors", "Difference from it", "Taken from", "Computed by"],
      words: [3, 4],
      rows: [...kinds].map(([kind, ops]) => {
        const models = [...new Set(ops.flatMap(({ inputs }) => inputs.map(({ model }) => model)))];
        const known = measured.get(kind) ?? [];
        const change = Math.max(...models.map((model) => relativeChange(known, model)));
        const made = ops.some((op) => isRouter(op, op.shape[0] ?? 0)) ? "the prompts, or random numbers" : "zeros";
        return [
          kind,
          String(ops.length),
          models.length === 0 || known.length === 0 ? "-" : change === 0 ? "the same" : shareText(change),
          models.length === 0 ? made : shortNames(models).join(", "),
          [...new Set(ops.map(({ kernel }) => kernel))].join(", "),
        ];
      }),
    },
  };
}
