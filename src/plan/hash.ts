import { basename, dirname } from "node:path";
import { hasher } from "../hash.ts";
import { DTYPE_BYTES } from "../model/dtype.ts";
import type { TensorPatch } from "../model/types.ts";
import type { MergeOp, MergePlan, RowGather } from "./types.ts";

/** Changes when equal plans get another hash. */
const FORMAT = 3;

/** Added to the number of a dtype where strides follow the shape. */
const WITH_STRIDES = 100;

const DTYPES = new Map(Object.keys(DTYPE_BYTES).map((name, index) => [name, index]));

/**
 * What makes two plans the same: the seed and, for each output file, which numbers are computed from which input
 * tensors and where they go. Of a file's path only its name and its folder's name count (in the Hugging Face cache a
 * commit), so that another machine gets the same for the same models.
 *
 * Names and numbers are hashed apart, the lengths of names among the numbers: nothing is ambiguous, and a hundred
 * thousand tensors take a few hundredths of a second, which as JSON they would not.
 * @returns SHA-256 in hexadecimal, of all numbers as little-endian float64 and then the SHA-256 of all names as UTF-8.
 */
export function planHash(plan: MergePlan): string {
  let hash = HASHES.get(plan);
  if (hash === undefined) {
    hash = computeHash(plan);
    HASHES.set(plan, hash);
  }
  return hash;
}

/** A plan is data that nobody changes: the card, the manifest and the printed plan ask for the hash of one. */
const HASHES = new WeakMap<MergePlan, string>();

function computeHash(plan: MergePlan): string {
  const writer = new Writer();
  writer.list([FORMAT, plan.seed, plan.inputFiles.length, plan.shards.length, plan.ops.length]);
  const files = new Map(plan.inputFiles.map(({ path }, index) => [path, index]));
  const models = new Map(plan.models.map((name, index) => [name, index]));
  for (const { path, size } of plan.inputFiles) {
    writer.name(`${basename(dirname(path))}/${basename(path)}`);
    writer.number(size);
  }
  for (const { file, size, format } of plan.shards) {
    writer.name(file);
    writer.number(size);
    writer.number(format === "safetensors" ? 0 : 1);
  }
  for (const op of plan.ops) writeOp(writer, op, files, models);
  // What has no such inputs keeps the hash that it had before there were any.
  for (const { model, plan: hash } of plan.madeInputs ?? []) {
    writer.number(models.get(model) ?? -1);
    writer.name(hash);
  }
  return writer.digest();
}

function writeOp(
  writer: Writer,
  op: MergeOp,
  files: ReadonlyMap<string, number>,
  models: ReadonlyMap<string, number>,
): void {
  writer.name(op.tensor);
  writer.name(op.kernel);
  writer.name(op.randomAs ?? op.tensor);
  writer.number(DTYPES.get(op.dtype) ?? -1);
  writer.number(op.shard);
  writer.number(op.offset);
  writer.number(op.inputs.length);
  writer.list(op.shape);
  writer.list(op.values ?? op.params);
  for (const { view, model, tensor, position, gather } of op.inputs) {
    writer.name(tensor === op.tensor ? "" : tensor);
    writer.number(models.get(model) ?? -1);
    writer.number(position);
    writer.number(files.get(view.file) ?? -1);
    writer.number(view.offset);
    writer.number((DTYPES.get(view.dtype) ?? -1) + (view.strides === undefined ? 0 : WITH_STRIDES));
    writer.list(view.shape);
    if (view.strides !== undefined) writer.list(view.strides);
    writer.number(view.patches?.length ?? 0);
    for (const patch of view.patches ?? []) writePatch(writer, patch, files);
    if (gather !== undefined) writeGather(writer, gather, files);
  }
}

/** No length of a name is negative: what follows an input without gathered rows cannot be taken for this. */
const GATHERED = -1;

/** No number of a file, nor a number of rows: what follows a piece without patches cannot be taken for this. */
const PATCHED = -2;

/** SHA-256 in hexadecimal of the index lists as little-endian 32-bit integers, one after the other. */
export function gatherHash({ rows, mixes }: Pick<RowGather, "rows" | "mixes">): string {
  const hash = hasher("sha256");
  hash.update(rows);
  hash.update(mixes);
  return hash.digest("hex");
}

function writeGather(writer: Writer, gather: RowGather, files: ReadonlyMap<string, number>): void {
  writer.number(GATHERED);
  writer.number(gather.pieces.length);
  for (const { view } of gather.pieces) {
    writer.number(files.get(view.file) ?? -1);
    writer.number(view.offset);
    writer.number(DTYPES.get(view.dtype) ?? -1);
    writer.list(view.shape);
    if (view.patches === undefined) continue;
    writer.list([PATCHED, view.patches.length]);
    for (const patch of view.patches) writePatch(writer, patch, files);
  }
  writer.number(gather.rows.length);
  writer.name(gatherHash(gather));
}

function writePatch(writer: Writer, patch: TensorPatch, files: ReadonlyMap<string, number>): void {
  const { columns, from, to, rank, scale, replaces, left, right, magnitude } = patch;
  const along = magnitude === undefined ? 0 : magnitude.along === "rows" ? 1 : 2;
  writer.list([columns, from, to, rank, scale, replaces ? 1 : 0, along, left === undefined ? 0 : 1]);
  for (const factor of [left, right, magnitude?.factor]) {
    if (factor === undefined) continue;
    const dtype = DTYPES.get(factor.dtype) ?? -1;
    writer.list([files.get(factor.file) ?? -1, factor.offset, dtype, factor.rowStride, factor.columnStride]);
  }
}

/** Hashed in pieces of about this many characters or numbers. */
const PIECE = 1 << 15;

class Writer {
  private readonly numberHash = hasher("sha256");
  private readonly nameHash = hasher("sha256");
  private readonly numbers = new Float64Array(PIECE);
  private used = 0;
  private names = "";

  number(value: number): void {
    if (this.used === PIECE) {
      this.numberHash.update(this.numbers);
      this.used = 0;
    }
    this.numbers[this.used++] = value;
  }

  /** A list of any length, which goes before it. */
  list(values: ArrayLike<number>): void {
    this.number(values.length);
    for (let i = 0; i < values.length; i++) this.number(values[i] as number);
  }

  name(name: string): void {
    this.number(name.length);
    this.names += name;
    if (this.names.length < PIECE) return;
    this.nameHash.update(this.names);
    this.names = "";
  }

  digest(): string {
    this.numberHash.update(this.numbers.subarray(0, this.used));
    this.nameHash.update(this.names);
    this.numberHash.update(this.nameHash.digest());
    return this.numberHash.digest("hex");
  }
}
