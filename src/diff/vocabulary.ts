import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Report } from "../errors.ts";
import { shortHash } from "../hash.ts";
import { patchesOfPart, splitsByRow } from "../model/patch.ts";
import { elementCount } from "../model/types.ts";
import type { OpInput } from "../plan/types.ts";
import { hasTokenizer, readTokenizer, VOCABULARY_FILES } from "../tokenizer/read.ts";
import type { DiffModel } from "./models.ts";
import type { Pair } from "./types.ts";

/** How rows that stand for tokens are held against each other. */
export interface Vocabularies {
  /** By token that all models have, its row in each; undefined where every token has the same row in all. */
  shared: readonly (readonly number[])[] | undefined;
  notes: readonly string[];
}

/**
 * Compares the vocabularies of all models. Where one has none, or one that cannot be read, rows count as they stand.
 */
export function readVocabularies(models: readonly DiffModel[]): Vocabularies {
  const folders = models.map(({ model }) => ({ name: model.name, dir: model.dir, files: model.sideFiles }));
  if (!folders.every(hasTokenizer) || sameBytes(folders)) return { shared: undefined, notes: [] };
  const report = new Report();
  const vocabularies = folders.map((folder) => readTokenizer(folder, report)?.ids);
  if (vocabularies.includes(undefined)) {
    const reason = report.errors[0]?.message ?? "no vocabulary";
    return { shared: undefined, notes: [`a tokenizer cannot be read (${reason}): rows are compared as they stand`] };
  }
  const [first, ...others] = vocabularies as readonly ReadonlyMap<string, number>[];
  const shared: number[][] = [];
  let differs = false;
  for (const [token, id] of first ?? []) {
    const ids = [id, ...others.map((other) => other.get(token) ?? -1)];
    differs ||= ids.some((one) => one !== id);
    if (!ids.includes(-1)) shared.push(ids);
  }
  const sizes = vocabularies.map((ids) => ids?.size ?? 0);
  if (!differs && new Set(sizes).size === 1) return { shared: undefined, notes: [] };
  const list = sizes.map((size, i) => `${models[i]?.model.name} has ${size}`).join(", ");
  const note = `the vocabularies differ (${list}): rows of the ${shared.length} tokens that all have are compared`;
  return { shared: shared.sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0)), notes: [note] };
}

/** The pair over the rows that all inputs have: those of tokens in common, else the first ones. */
export function alignRows(pair: Pair, { shared }: Vocabularies): Pair | string {
  const rowsOf = ({ view }: OpInput) => view.shape[0] ?? 0;
  const width = elementCount(pair.inputs[0]?.view.shape.slice(1) ?? []);
  if (shared === undefined) {
    const rows = Math.min(...pair.inputs.map(rowsOf));
    if (pair.inputs.every((input) => rowsOf(input) === rows)) return pair;
    const first = Int32Array.from({ length: rows }, (_, row) => row);
    return { ...pair, rows, elements: rows * width, inputs: pair.inputs.map((input) => firstRows(input, first)) };
  }
  if (pair.inputs.some(({ view }) => view.strides !== undefined)) return "its rows do not lie one after another";
  const present = shared.filter((ids) => pair.inputs.every((input, i) => (ids[i] as number) < rowsOf(input)));
  const mixes = new Int32Array();
  if (present.length === 0) return "the models have no token in common";
  const inputs = pair.inputs.map((input, i): OpInput => {
    const rows = Int32Array.from(present, (ids) => ids[i] as number);
    return { ...input, gather: { pieces: [input], rows, mixes } };
  });
  return { ...pair, rows: present.length, elements: present.length * width, inputs };
}

function firstRows(input: OpInput, rows: Int32Array): OpInput {
  const { view } = input;
  if (!splitsByRow(view.patches)) return { ...input, gather: { pieces: [input], rows, mixes: new Int32Array() } };
  const shape = [rows.length, ...view.shape.slice(1)];
  return { ...input, view: { ...view, shape, patches: patchesOfPart(view.patches, 0, elementCount(shape)) } };
}

function sameBytes(folders: readonly { dir: string; files: readonly string[] }[]): boolean {
  const texts = folders.map(({ dir, files }) => {
    const name = VOCABULARY_FILES.find((file) => files.includes(file)) ?? "";
    const added = files.includes("added_tokens.json") ? readFileSync(join(dir, "added_tokens.json")) : "";
    return `${name} ${shortHash(readFileSync(join(dir, name)))} ${shortHash(added)}`;
  });
  return new Set(texts).size === 1;
}
