import {
  APPROXIMATION_METHODS,
  APPROXIMATIONS,
  DEFAULT_TRANSPLANT,
  MATCHES,
  SUBWORD_METHODS,
  type TransplantOptions,
  WEIGHT_SCHEMES,
} from "../transplant/methods.ts";
import { choice, decimal, integer, type Options, type OptionValues, type Reader } from "./option.ts";

const GROUP = "Approximation";
const MATCHING = "Matching";
const methods = APPROXIMATION_METHODS.map((name) => `${name}: ${APPROXIMATIONS[name].doc}`).join("; ");

/** A number that rows are multiplied by. */
const factor: Reader<number> = (value) => {
  const read = decimal(value);
  if ("wrong" in read || read.value !== 0) return read;
  return { wrong: "rows times 0 are zeros", hint: "--approximation-method zero gives zeros" };
};

const deviation: Reader<number> = (value) => {
  const read = decimal(value);
  if ("wrong" in read || read.value >= 0) return read;
  return { wrong: `${value} is below 0`, hint: "noise is a standard deviation" };
};

/** How a transplant is done: the same options, short forms too, in Sinter's command and in mergekit's. */
export const TRANSPLANT_OPTIONS = {
  k: {
    kind: "value",
    name: "k",
    short: "k",
    metavar: "NUMBER",
    read: integer(1),
    default: DEFAULT_TRANSPLANT.k,
    shownDefault: String(DEFAULT_TRANSPLANT.k),
    doc: "Shared tokens that go into an approximation (omp, stb, mp_rope), or neighbours (common_interpolation).",
    group: GROUP,
  },
  cosineSimilarity: {
    kind: "flag",
    name: "cosine-similarity",
    short: "c",
    dashed: { off: "nc" },
    negatable: true,
    default: false,
    doc: "Neighbours by cosine similarity instead of by distance.",
    group: GROUP,
  },
  method: {
    kind: "value",
    name: "approximation-method",
    short: "a",
    metavar: "METHOD",
    read: choice(APPROXIMATION_METHODS),
    default: DEFAULT_TRANSPLANT.method,
    shownDefault: DEFAULT_TRANSPLANT.method,
    doc: `The row of a token that the model lacks. ${methods}.`,
    group: GROUP,
  },
  weightScheme: {
    kind: "value",
    name: "weight-scheme",
    short: "w",
    metavar: WEIGHT_SCHEMES.join("|"),
    read: choice(WEIGHT_SCHEMES),
    default: DEFAULT_TRANSPLANT.weightScheme,
    shownDefault: DEFAULT_TRANSPLANT.weightScheme,
    doc: "How common_interpolation weighs the neighbours.",
    group: GROUP,
  },
  subwordMethod: {
    kind: "value",
    name: "subword-method",
    short: "s",
    metavar: SUBWORD_METHODS.join("|"),
    read: choice(SUBWORD_METHODS),
    default: DEFAULT_TRANSPLANT.subwordMethod,
    shownDefault: DEFAULT_TRANSPLANT.subwordMethod,
    doc: "How subword puts pieces together.",
    group: GROUP,
  },
  batchSize: {
    kind: "value",
    name: "batch-size",
    metavar: "NUMBER",
    read: integer(Number.MIN_SAFE_INTEGER),
    default: DEFAULT_TRANSPLANT.batch,
    shownDefault: String(DEFAULT_TRANSPLANT.batch),
    doc: "Tokens approximated at a time; 0 or -1: all. More take more memory and are a little faster.",
    group: GROUP,
  },
  prefixMatch: {
    kind: "value",
    name: "prefix-match",
    dashed: "pm",
    metavar: MATCHES.join("|"),
    read: choice(MATCHES),
    default: DEFAULT_TRANSPLANT.prefixMatch,
    shownDefault: DEFAULT_TRANSPLANT.prefixMatch,
    doc: "Where to take the row of a token's longest prefix instead of approximating.",
    group: MATCHING,
  },
  byteMatch: {
    kind: "value",
    name: "byte-match",
    dashed: "bm",
    metavar: MATCHES.join("|"),
    read: choice(MATCHES),
    default: DEFAULT_TRANSPLANT.byteMatch,
    shownDefault: DEFAULT_TRANSPLANT.byteMatch,
    doc: "Where to take the row of a byte spelt the other way (A and <0x41>) instead of approximating.",
    group: MATCHING,
  },
  magikarp: {
    kind: "flag",
    name: "magikarp",
    negatable: true,
    default: false,
    doc: "Leave out tokens that look untrained in either model; what looks untrained in both becomes zeros.",
    group: MATCHING,
  },
  noise: {
    kind: "value",
    name: "new-vocab-noise",
    dashed: "nvn",
    metavar: "NUMBER",
    read: deviation,
    default: DEFAULT_TRANSPLANT.noise,
    shownDefault: "none",
    doc: "Standard deviation of normal noise that is added to approximated rows.",
    group: GROUP,
  },
  scale: {
    kind: "value",
    name: "new-vocab-scale",
    dashed: "nvs",
    metavar: "NUMBER",
    read: factor,
    default: DEFAULT_TRANSPLANT.scale,
    shownDefault: "1",
    doc: "What approximated rows are multiplied by, after the noise.",
    group: GROUP,
  },
} as const satisfies Options;

export function transplantOptions(values: OptionValues<typeof TRANSPLANT_OPTIONS>, seed: number): TransplantOptions {
  const { method, k, weightScheme, subwordMethod, prefixMatch, byteMatch, magikarp, noise, scale } = values;
  return {
    method,
    k,
    cosine: values.cosineSimilarity,
    weightScheme,
    subwordMethod,
    batch: Math.max(0, values.batchSize),
    prefixMatch,
    byteMatch,
    magikarp,
    noise,
    scale,
    seed,
  };
}
