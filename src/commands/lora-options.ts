import { integer, type Options, type Reader, text } from "./option.ts";

/** A number of at least `min`, as Python's float() reads it. */
export function decimal(min: number, max = Number.POSITIVE_INFINITY): Reader<number> {
  return (value) => {
    const number = value.trim() === "" ? Number.NaN : Number(value);
    if (Number.isNaN(number)) return { wrong: `"${value}" is not a number` };
    if (number < min || number > max) return { wrong: `${value} is not between ${min} and ${max}` };
    return { value: number };
  };
}

/** `auto`, or a whole number of at least 1. */
export const rankReader: Reader<"auto" | number> = (value) => {
  if (value === "auto") return { value };
  const number = Number(value);
  if (Number.isInteger(number) && number > 0) return { value: number };
  return { wrong: `"${value}" is neither auto nor a rank`, hint: "a rank is a whole number of at least 1" };
};

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
    read: decimal(0),
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
