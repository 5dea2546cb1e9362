import { readFileSync } from "node:fs";
import { resolveWeight } from "../architecture/resolve.ts";
import type { Report } from "../errors.ts";
import { patchesOfPart, splitsByRow } from "../model/patch.ts";
import { elementCount, type Model, sideFilePath, type TensorView } from "../model/types.ts";
import type { PlanModel } from "./models.ts";
import type { Target } from "./targets.ts";

export interface Vocabulary {
  targets: readonly Target[];
  /** The output's number of rows where it is not the donor's. */
  size: number | undefined;
}

/**
 * Embeddings and heads whose numbers of rows differ between the models take the rows that all have.
 * A warning names every size; a donor's tokenizer that uses ids beyond the common rows is an error.
 */
export function settleVocabulary(
  targets: readonly Target[],
  donor: PlanModel,
  copyTokenizer: boolean,
  report: Report,
): Vocabulary {
  const concerned = new Set(targets.filter((target) => target.spec.role !== undefined && target.inputs.some(hasRows)));
  const first = [...concerned].find((target) => target.spec.role === "embedding") ?? [...concerned][0];
  if (first === undefined) return { targets, size: undefined };
  const least = new Map([...concerned].map((target) => [target, Math.min(...rowCounts(target))]));
  const differ = [...concerned].some((target) => new Set(rowCounts(target)).size > 1);
  const uneven =
    new Set(least.values()).size > 1 && [...least].some(([target, rows]) => rows !== ownRows(target, donor));
  if (!differ && !uneven) return { targets, size: changed(least.get(first) as number, first, donor) };

  const rows = Math.min(...least.values());
  reportSizes([...concerned], rows, report);
  if (copyTokenizer) checkTokenizer(donor, rows, report);
  return {
    targets: targets.map((target) => (concerned.has(target) ? cut(target, rows) : target)),
    size: changed(rows, first, donor),
  };
}

function hasRows({ found }: Target["inputs"][number]): boolean {
  return found !== undefined && found.view.shape.length > 0;
}

function rowCounts(target: Target): number[] {
  return target.inputs.flatMap(({ found }) => found?.view.shape[0] ?? []);
}

/** Rows of the same weight in the donor, whether or not the donor is among the sources. */
function ownRows(target: Target, donor: PlanModel): number | undefined {
  for (const module of donor.architecture.modules) {
    const spec = [...module.before, ...module.after].find(({ name }) => name === target.spec.name);
    if (spec !== undefined) return resolveWeight(spec, donor.model, donor.architecture)?.view.shape[0];
  }
  return undefined;
}

function changed(rows: number, target: Target, donor: PlanModel): number | undefined {
  return rows === ownRows(target, donor) ? undefined : rows;
}

/** The first `rows` rows of every input: row-major tensors start with them. Some patches need all rows to be there. */
function cut(target: Target, rows: number): Target {
  const inputs = target.inputs.map((input, i) => {
    if (input.found === undefined || !hasRows(input)) return input;
    if (!splitsByRow(input.found.view.patches)) {
      const { view, name } = input.found;
      const piece = { view, tensor: name, model: target.slice.sources[i]?.from.model.name ?? "" };
      const first = Int32Array.from({ length: rows }, (_, row) => row);
      return { ...input, gather: { pieces: [piece], rows: first, mixes: new Int32Array() } };
    }
    const shape = [rows, ...input.found.view.shape.slice(1)];
    const patches = patchesOfPart(input.found.view.patches, 0, elementCount(shape));
    const view: TensorView = { ...input.found.view, shape, patches };
    return { ...input, found: { ...input.found, view } };
  });
  return { ...target, inputs };
}

function reportSizes(targets: readonly Target[], rows: number, report: Report): void {
  const sizes = new Set<string>();
  for (const { inputs, slice } of targets) {
    inputs.forEach(({ found }, i) => {
      if (found !== undefined) sizes.add(`${slice.sources[i]?.from.model.name} ${found.view.shape[0]}`);
    });
  }
  report.warn({
    code: "vocabulary-rows",
    message: `the models' vocabularies differ in size: ${[...sizes].join(", ")}; the first ${rows} rows are merged`,
    at: targets[0]?.slice.at,
    tensor: targets[0]?.spec.name,
    hint: "rows are matched by token id: if the ids mean different tokens, the models need a common tokenizer",
  });
}

function checkTokenizer({ model, at }: PlanModel, rows: number, report: Report): void {
  const largest = largestTokenId(model);
  if (largest === undefined || largest < rows) return;
  report.error({
    code: "tokenizer-rows",
    message: `the tokenizer of ${model.name} uses token ids up to ${largest}, and the merged embedding has ${rows} rows`,
    at,
    hint: "tokenizer_source: union merges by token; --no-copy-tokenizer merges the common rows without a tokenizer",
  });
}

/** From tokenizer.json, else vocab.json; undefined where the model has neither or it cannot be read. */
export function largestTokenId(model: Model): number | undefined {
  const tokenizer = readJson(model, "tokenizer.json") as TokenizerJson | undefined;
  const vocab = tokenizer?.model?.vocab ?? (readJson(model, "vocab.json") as Record<string, number> | undefined);
  if (vocab === undefined) return undefined;
  const added = [
    ...(tokenizer?.added_tokens ?? []).map(({ id }) => id),
    ...Object.values((readJson(model, "added_tokens.json") ?? {}) as Record<string, number>),
  ];
  let largest = Array.isArray(vocab) ? vocab.length - 1 : -1;
  for (const id of Array.isArray(vocab) ? added : [...Object.values(vocab), ...added]) largest = Math.max(largest, id);
  return largest;
}

/** The parts that hold ids. A Unigram vocabulary is a list, and an id is a position in it. */
interface TokenizerJson {
  model?: { vocab?: Record<string, number> | unknown[] };
  added_tokens?: { id: number }[];
}

function readJson(model: Model, name: string): unknown {
  if (!model.sideFiles.includes(name)) return undefined;
  try {
    return JSON.parse(readFileSync(sideFilePath(model, name), "utf8"));
  } catch {
    return undefined;
  }
}
