import { methods } from "../../methods/index.ts";
import type { LegacyMerge } from "../../recipes/legacy.ts";
import { decimal, type Options, type OptionValues, offering, text } from "../option.ts";

const GROUP = "Merge";

/** What `mergekit-legacy` and `sinter legacy` take besides the options of every merge. */
export const LEGACY_OPTIONS = {
  merge: {
    kind: "repeated",
    name: "merge",
    metavar: "MODEL",
    read: text,
    doc: "A model to merge.",
    group: GROUP,
  },
  density: {
    kind: "repeated",
    name: "density",
    metavar: "NUMBER",
    read: decimal,
    doc: "Share of each model's differences that is kept: once for all, or once for each model.",
    group: GROUP,
  },
  weight: {
    kind: "repeated",
    name: "weight",
    metavar: "NUMBER",
    read: decimal,
    doc: "A model's weight, 1 where it is not given: once for all, or once for each. For slerp the place between the two.",
    group: GROUP,
  },
  method: {
    kind: "value",
    name: "method",
    metavar: "NAME",
    read: offering(
      methods.map(({ name }) => name),
      text,
    ),
    default: "ties",
    shownDefault: "ties",
    doc: "The merge method.",
    group: GROUP,
  },
  baseModel: {
    kind: "value",
    name: "base-model",
    metavar: "MODEL",
    read: text,
    default: undefined,
    doc: "The base.",
    group: GROUP,
  },
  normalize: {
    kind: "flag",
    name: "normalize",
    negatable: true,
    default: true,
    doc: "Divide by the sum of the weights.",
    group: GROUP,
  },
  int8Mask: {
    kind: "flag",
    name: "int8-mask",
    negatable: true,
    default: false,
    doc: "No effect: no mask is kept in memory.",
    group: GROUP,
  },
  bf16: { kind: "flag", name: "bf16", negatable: true, default: false, doc: "Write bfloat16.", group: GROUP },
  naiveCount: {
    kind: "flag",
    name: "naive-count",
    negatable: true,
    default: false,
    doc: "Elect the sign that most models have, whatever their weights (ties).",
    group: GROUP,
  },
  printYaml: {
    kind: "flag",
    name: "print-yaml",
    negatable: true,
    default: false,
    doc: "Print the configuration that the options stand for.",
    group: GROUP,
  },
} as const satisfies Options;

/** The merge that the options describe. */
export function legacyMerge(values: OptionValues<typeof LEGACY_OPTIONS>): LegacyMerge {
  const { method, normalize, int8Mask, bf16, naiveCount } = values;
  return {
    models: values.merge,
    densities: values.density,
    weights: values.weight,
    method,
    base: values.baseModel,
    normalize,
    int8Mask,
    bf16,
    naiveCount,
  };
}
