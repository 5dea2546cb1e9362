import type { Scratch } from "../methods/types.ts";
import { elementCount } from "../model/types.ts";
import type { MergeOp, MergePlan } from "../plan/types.ts";

/** Bun with Sinter's modules and the addon loaded, measured; in bytes of anonymous memory. */
const RUNTIME = 40e6;
/** A planned op, its inputs and its result, as JavaScript values. */
const PER_OP = 3000;
/** A worker's buffers for inputs, output and random numbers, and its block for the write pool. */
const PER_WORKER = 6e6;
/** Blocks of the write pool beyond one per worker: `kSpareBuffers` in native/io/write-pool.cc. */
const WRITE_BLOCKS = 8 << 20;

/** A token of a vocabulary that was read or made while planning, measured: its text, maps, merges and the output's text. */
const PER_TOKEN = 1400;

/** Most candidates that one selection collects: `kCollectRoom` in native/engine/select.cc. */
const COLLECTED = 8 << 20;
/** Bytes of scratch that all ops together may take unasked: `kFreeScratch` in native/engine/engine.h. */
const FREE_SCRATCH = 96 << 20;
/** What a worker keeps of each element of a row that it looks at whole: values, magnitudes, ranks, random numbers. */
const PER_ROW_ELEMENT = 40;

/** Rows of products that a worker makes at a time: `kGroupRows` in native/cpu/patch.h. */
const PRODUCT_ROWS = 8;

/**
 * Most bytes of anonymous memory that running the plan takes: an estimate that grows with vocabularies that are
 * merged, and not with the model.
 * @param memory bytes of scratch that the user allows beyond what is free.
 */
export function peakMemory(plan: MergePlan, threads: number, memory = 0): number {
  let scratch = 0;
  let masks = 0;
  for (const op of plan.ops) {
    if (op.scratch === undefined) continue;
    scratch = Math.max(scratch, scratchBytes(op, op.scratch, threads));
    masks += ((op.scratch.masks ?? 0) * elementCount(op.shape)) / 8;
  }
  // Masks are taken from a budget; an op that gets none does without.
  const budget = Math.min(masks, FREE_SCRATCH + memory);
  const fixed = RUNTIME + WRITE_BLOCKS + PER_OP * plan.ops.length + PER_WORKER * threads;
  return fixed + scratch + budget + vocabularies(plan) + patchBytes(plan, threads);
}

/** The right factors of adapters, of as many ops as are in flight, and a block of products for each worker. */
function patchBytes(plan: MergePlan, threads: number): number {
  const factors: number[] = [];
  let block = 0;
  for (const { inputs } of plan.ops) {
    const patched = inputs
      .flatMap(({ view, gather }) => gather?.pieces.map((piece) => piece.view.patches) ?? [view.patches])
      .filter((patches) => patches !== undefined);
    if (patched.length === 0) continue;
    factors.push(patched.flat().reduce((sum, { rank, columns }) => sum + 4 * rank * columns, 0));
    block = Math.max(block, PRODUCT_ROWS * 4 * patched.reduce((sum, [first]) => sum + (first?.columns ?? 0), 0));
  }
  const inFlight = factors.toSorted((a, b) => b - a).slice(0, Math.max(4, 2 * threads));
  return inFlight.reduce((sum, bytes) => sum + bytes, 0) + threads * block;
}

function vocabularies({ vocabulary }: MergePlan): number {
  if (vocabulary === undefined) return 0;
  return PER_TOKEN * vocabulary.own.reduce((sum, { tokens }) => sum + tokens, vocabulary.tokens);
}

function scratchBytes(op: MergeOp, { selections = 0, numbers = 0, row = 0 }: Scratch, threads: number): number {
  return selections * selectionBytes(op) + 8 * numbers + PER_ROW_ELEMENT * row * threads;
}

function selectionBytes(op: MergeOp): number {
  const wide = op.dtype === "F64" || op.inputs.some(({ view }) => view.dtype === "F64");
  const count = elementCount(op.shape);
  const sample = Math.min(Math.max(count / 1024, 16_384), 1 << 20);
  // The bracket around the threshold is ten standard deviations of the sample's quantile wide; lists grow by doubling.
  const candidates = Math.min(2 * count * 10 * Math.sqrt(0.25 / sample), COLLECTED, count);
  return (candidates + sample) * (wide ? 8 : 4);
}
