import pkg from "../../package.json" with { type: "json" };
import { type Problem, SinterError } from "../errors.ts";
import { isObject } from "../model/json-file.ts";
import { planHash } from "../plan/hash.ts";
import type { MergePlan } from "../plan/types.ts";
import { difference, type FileState, type Fingerprint, fileState, fingerprint } from "./fingerprint.ts";

/** Everything that decides the bytes of a merge: work of another header is of no use. */
export interface JournalHeader {
  sinter: string;
  /** Hash of the plan. */
  plan: string;
  /** The configuration in normal form, where the plan has one. */
  recipe: string | undefined;
  /** By their names in the recipe. */
  options: Readonly<Record<string, unknown>>;
  inputs: readonly Fingerprint[];
}

/** Of a run that keeps no records: no input to look at. */
export const NO_HEADER: JournalHeader = { sinter: pkg.version, plan: "", recipe: undefined, options: {}, inputs: [] };

/** @throws SinterError where an input cannot be read. */
export function journalHeader(plan: MergePlan): JournalHeader {
  return {
    sinter: pkg.version,
    plan: planHash(plan),
    recipe: plan.recipe?.text,
    options: plan.recipe?.options ?? {},
    inputs: plan.inputFiles.map(fingerprint),
  };
}

/** @returns undefined for what has not the form of one. */
export function asJournalHeader(value: unknown): JournalHeader | undefined {
  if (!isObject(value) || typeof value.sinter !== "string" || typeof value.plan !== "string") return undefined;
  if (!isObject(value.options) || !Array.isArray(value.inputs) || !value.inputs.every(isFingerprint)) return undefined;
  const recipe = typeof value.recipe === "string" ? value.recipe : undefined;
  return { sinter: value.sinter, plan: value.plan, recipe, options: value.options, inputs: value.inputs };
}

function isFingerprint(value: unknown): boolean {
  if (!isObject(value) || !Number.isSafeInteger(value.size)) return false;
  return [value.path, value.modified, value.header].every((text) => typeof text === "string");
}

/** Options by the names that the command line gives them. */
const OPTION_NAMES: Readonly<Record<string, string>> = {
  outShardSize: "--out-shard-size",
  safeSerialization: "--safe-serialization",
  lmHead: "--lm-head",
  allowCrimes: "--allow-crimes",
  copyTokenizer: "--copy-tokenizer",
  writeModelCard: "--write-model-card",
  tensors: "the choice of tensors",
  expertLayout: "--expert-layout",
  loraCache: "--lora-merge-cache",
  seed: "--seed",
};

/** A problem for each input that is no longer the file that it was when the run began. @param states as they were then. */
export function changedInputs({ inputs }: JournalHeader, states: ReadonlyMap<string, FileState>): Problem[] {
  return inputs.flatMap((input): Problem[] => {
    try {
      // Nobody but this run has what it made.
      if (input.modified === "") return [];
      const { inode } = fileState(input.path);
      const isAnother = inode !== (states.get(input.path)?.inode ?? inode);
      const what = difference(input, fingerprint(input)) ?? (isAnother ? "another file took its place" : undefined);
      if (what === undefined) return [];
      const message = `the input file changed while the merge ran: ${what}`;
      return [
        { code: "source-changed", message, path: input.path, hint: "plan again: run the same command once more" },
      ];
    } catch (error) {
      if (error instanceof SinterError) return [...error.problems];
      throw error;
    }
  });
}

/**
 * A warning for each input that somebody may have written to although its size, date and header are as they were: dates can
 * be set back.
 */
export function touchedInputs({ inputs }: JournalHeader, states: ReadonlyMap<string, FileState>): Problem[] {
  return inputs.flatMap(({ path, modified }): Problem[] => {
    if (modified === "" || fileState(path).touched === states.get(path)?.touched) return [];
    const message =
      "somebody had a hand on the input file while the merge ran: perhaps on its content, not only its rights";
    return [{ code: "source-touched", message, path, hint: "sinter verify --recompute tells" }];
  });
}

/** What makes the work of `before` useless for `now`, each in words; nothing where it is of use. */
export function changesSince(before: JournalHeader, now: JournalHeader): string[] {
  const changes: string[] = [];
  if (before.sinter !== now.sinter) changes.push(`Sinter ${before.sinter} began it, and this is ${now.sinter}`);
  if (before.recipe !== now.recipe) changes.push("the recipe changed");
  for (const name of new Set([...Object.keys(before.options), ...Object.keys(now.options)])) {
    const [was, is] = [before.options[name], now.options[name]];
    if (was === is) continue;
    changes.push(
      `the option ${Object.hasOwn(OPTION_NAMES, name) ? OPTION_NAMES[name] : name} was ${shown(was)} and is ${shown(is)}`,
    );
  }
  changes.push(...inputChanges(before.inputs, now.inputs));
  if (changes.length === 0 && before.plan !== now.plan) changes.push("the plan is another");
  return changes;
}

/** A journal may hold anything. */
function shown(value: unknown): string {
  return value === undefined || value === null
    ? "not given"
    : typeof value === "object"
      ? "something else"
      : String(value);
}

function inputChanges(before: readonly Fingerprint[], now: readonly Fingerprint[]): string[] {
  const known = new Map(before.map((input) => [input.path, input]));
  const changes = now.flatMap((input) => {
    const was = known.get(input.path);
    if (was === undefined) return [`${input.path} was not among the inputs`];
    const what = difference(was, input);
    return what === undefined ? [] : [`the input ${input.path} changed: ${what}`];
  });
  const left = new Set(now.map(({ path }) => path));
  for (const { path } of before) if (!left.has(path)) changes.push(`${path} is no longer among the inputs`);
  return changes;
}
