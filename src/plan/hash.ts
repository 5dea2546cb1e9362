import { basename, dirname } from "node:path";
import { DTYPE_BYTES } from "../model/dtype.ts";
import type { MergeOp, MergePlan } from "./types.ts";

/** Changes when equal plans get another hash. */
const FORMAT = 2;

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
  for (const { view, model, tensor, position } of op.inputs) {
    writer.name(tensor === op.tensor ? "" : tensor);
    writer.number(models.get(model) ?? -1);
    writer.number(position);
    writer.number(files.get(view.file) ?? -1);
    writer.number(view.offset);
    writer.number((DTYPES.get(view.dtype) ?? -1) + (view.strides === undefined ? 0 : WITH_STRIDES));
    writer.list(view.shape);
    if (view.strides !== undefined) writer.list(view.strides);
  }
}

/** Hashed in pieces of about this many characters or numbers. */
const PIECE = 1 << 15;

class Writer {
  private readonly numberHash = new Bun.CryptoHasher("sha256");
  private readonly nameHash = new Bun.CryptoHasher("sha256");
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
    const names = this.nameHash.update(this.names).digest();
    return this.numberHash.update(names).digest("hex");
  }
}
