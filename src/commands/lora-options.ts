import { decimalIn, integer, type Options, type Reader, text } from "./option.ts";

/** `auto`, or a whole number of at least 1. */
const rankReader: Reader<"auto" | number> = (value) => {
  if (value === "auto") return { value };
  const number = Number(value);
  if (Number.isInteger(number) && number > 0) return { value: number };
  return { wrong: `"${value}" is neither auto nor a rank`, hint: "a rank is a whole number of at least 1" };
};

/** The rank of low-rank factors, and how much of a module they keep where it is not given as a number. */
export const RANK_OPTIONS = {
  rank: {
    kind: "value",
    name: "rank",
    short: "r",
    metavar: "NUMBER|auto",
    read: rankReader,
    default: undefined,
    doc: "The rank; auto: as many as keep the share that --energy says.",
    group: "Rank",
  },
  energy: {
    kind: "value",
    name: "energy",
    metavar: "SHARE",
    read: decimalIn(0, 1),
    default: 0.9,
    shownDefault: "0.9",
    doc: "With --rank auto: the share of a module's sum of squares that its factors keep.",
    group: "Rank",
  },
} as const satisfies Options;

/** A regular expression, searched for in names. */
export const pattern: Reader<RegExp> = (value) => {
  try {
    return { value: new RegExp(value) };
  } catch (error) {
    return { wrong: `"${value}" is no regular expression: ${(error as Error).message}` };
  }
};

const GROUP = "Extraction";

/** What decides which modules are decomposed, and how: the same in `sinter lora extract` and `mergekit-extract-lora`. */
export const EXTRACTION_OPTIONS = {
  maxRank: {
    kind: "value",
    name: "max-rank",
    metavar: "NUMBER",
    read: integer(1, 1 << 20),
    default: 128,
    shownDefault: "128",
    doc: "Most singular values that are kept of a module.",
    group: GROUP,
  },
  distributeScale: {
    kind: "flag",
    name: "distribute-scale",
    negatable: true,
    default: true,
    doc: "Give the square roots of the singular values to both factors; otherwise A has all of them.",
    group: GROUP,
  },
  embedLora: {
    kind: "flag",
    name: "embed-lora",
    negatable: true,
    default: false,
    doc: "Decompose embeddings and heads, too; otherwise they are saved whole.",
    group: GROUP,
  },
  saveModules: {
    kind: "repeated",
    name: "save-module",
    metavar: "NAME",
    read: text,
    doc: "Save this module whole: its name, or the last part of it. May be repeated.",
    group: GROUP,
  },
  exclude: {
    kind: "repeated",
    name: "exclude-regex",
    short: "e",
    metavar: "REGEX",
    read: pattern,
    doc: "Leave out modules in whose names this is found. May be repeated.",
    group: GROUP,
  },
  include: {
    kind: "repeated",
    name: "include-regex",
    short: "i",
    metavar: "REGEX",
    read: pattern,
    doc: "Take only modules in whose names this is found. May be repeated.",
    group: GROUP,
  },
  svEpsilon: {
    kind: "value",
    name: "sv-epsilon",
    metavar: "NUMBER",
    read: decimalIn(0, Number.POSITIVE_INFINITY),
    default: 0,
    shownDefault: "0",
    doc: "Leave out singular values that are not above this.",
    group: GROUP,
  },
  skipUndecomposable: {
    kind: "flag",
    name: "skip-undecomposable",
    negatable: false,
    default: false,
    doc: "Leave out modules that have no low-rank form (norms); otherwise they are saved whole.",
    group: GROUP,
  },
} as const satisfies Options;
