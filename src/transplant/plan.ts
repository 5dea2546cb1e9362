import { basename, join, resolve } from "node:path";
import type { Report } from "../errors.ts";
import { DTYPE_BYTES, type Dtype } from "../model/dtype.ts";
import type { TensorView } from "../model/types.ts";
import { totals } from "../plan/build.ts";
import { layOut } from "../plan/layout.ts";
import type { PlacelessOp } from "../plan/place.ts";
import { withCached } from "../plan/recipe.ts";
import type { MergeOptions, MergePlan, OpInput, RowGather, SideFile } from "../plan/types.ts";
import { scratchPath } from "../run/scratch.ts";
import { describe, transplantCard } from "./card.ts";
import type { MatrixPlan } from "./matrices.ts";
import { APPROXIMATIONS, type TransplantOptions } from "./methods.ts";
import type { TokenModel } from "./models.ts";
import { planCopy } from "./passthrough.ts";
import { transplantRecipe } from "./recipe.ts";
import { transplantFiles } from "./side-files.ts";

/** Rows to approximate, and where they go in the scratch file. */
export interface ApproximationPlan {
  matrix: MatrixPlan;
  /** In bytes, from the start of the file. */
  offset: number;
}

/** A transplant, complete: what is approximated into a scratch file, then what is written like any merge. */
export interface TransplantPlan {
  merge: MergePlan;
  approximations: readonly ApproximationPlan[];
  /** Holds the approximated rows until they are in the output; 0 bytes where there are none. */
  scratch: { path: string; size: number };
}

/** Where the rows of one matrix come from: `-1` are zeros, the model's rows come first, then those of the scratch file. */
const ZEROS = -1;
const MEAN_OF_ALL = -3;

/**
 * Everything that a transplant will do once it is known where each row comes from.
 * @param out the output folder: the scratch file lies beside it, and its name is the title of the model card.
 */
export function planTransplant(
  original: TokenModel,
  donor: TokenModel,
  matrices: readonly MatrixPlan[],
  options: TransplantOptions,
  merge: MergeOptions,
  out: string,
  report: Report,
): TransplantPlan {
  const name = basename(resolve(out));
  const copy = planCopy(original, { ...merge, seed: options.seed }, name, report);
  const { approximations, scratch } = placeScratch(matrices, options, out);
  const rows = outputRows(donor);
  const ops = copy.ops.map(({ shard: _, offset: __, ...op }): PlacelessOp => {
    const matrix = matrices.find(({ tensor }) => tensor === op.tensor);
    const input = op.inputs[0];
    if (matrix === undefined || input === undefined) return op;
    const approximation = approximations.find((one) => one.matrix === matrix);
    const gather = gatherRows(matrix, input, rows, approximation, scratch.path);
    const shape = [rows, ...op.shape.slice(1)];
    return { ...op, shape, kernel: "linear", params: [1], inputs: [{ ...input, gather }] };
  });
  const format = merge.safeSerialization ? "safetensors" : "torch";
  const { folderIndexes, ...layout } = layOut(ops, merge.outShardSize, format);
  const indexes = new Set(folderIndexes.map((index) => index.name));
  const kept = copy.sideFiles.filter((file) => !indexes.has(file.name));
  const files: SideFile[] = [...transplantFiles(original, donor, kept, rows, report), ...folderIndexes];
  if (merge.writeModelCard) {
    files.push({ name: "README.md", text: `${transplantCard(original, donor, options, name)}\n` });
  }
  const approximated = approximations.map(({ matrix }) => matrix.tensor).join(", ");
  const varies = APPROXIMATIONS[options.method].machineDependent && approximated !== "" ? approximated : undefined;
  return {
    approximations,
    scratch,
    merge: {
      ...copy,
      ...layout,
      method: `transplant (${describe(options)})`,
      recipe: withCached(transplantRecipe({ model: original.model.ref, donor: donor.model.ref, options }, merge), [
        original.model,
        donor.model,
      ]),
      models: [original.model.name, donor.model.name],
      inputFiles: [
        ...copy.inputFiles,
        ...filesRead(donor, approximations),
        ...(scratch.size > 0 ? [{ ...scratch, made: true }] : []),
      ],
      sideFiles: files,
      totals: totals(ops, layout.shards),
      varies,
      warnings: [...report.warnings],
    },
  };
}

/** Ids of the donor's tokenizer decide: rows beyond its last token (padding) are not taken over. */
export function outputRows({ vocabulary }: TokenModel): number {
  return (vocabulary.tokens.at(-1)?.id ?? -1) + 1;
}

/** Files of the donor that approximations go by. */
function filesRead({ model }: TokenModel, approximations: readonly ApproximationPlan[]): MergePlan["inputFiles"] {
  const files = new Set(approximations.map(({ matrix }) => matrix.donor?.file));
  return model.weightFiles.filter(({ path }) => files.has(path));
}

function placeScratch(
  matrices: readonly MatrixPlan[],
  options: TransplantOptions,
  out: string,
): Pick<TransplantPlan, "approximations" | "scratch"> {
  const approximations: ApproximationPlan[] = [];
  let size = 0;
  for (const matrix of matrices) {
    if (matrix.isVector || matrix.assignment.targets.length === 0) continue;
    approximations.push({ matrix, offset: size });
    const bytes =
      matrix.assignment.targets.length * (matrix.original.shape[1] ?? 0) * DTYPE_BYTES[matrix.original.dtype];
    size += Math.ceil(bytes / 64) * 64;
  }
  // The plan's hash knows a file by its name and its folder's: they say what is in it, whatever the output folder.
  const content = describe(options).replaceAll(/[^a-z0-9._-]+/g, "-");
  const path = join(scratchPath(out), "approximated", `${content}.bin`);
  return { approximations, scratch: { path, size } };
}

function gatherRows(
  { original, assignment, isVector, tensor }: MatrixPlan,
  input: OpInput,
  rows: number,
  approximation: ApproximationPlan | undefined,
  scratch: string,
): RowGather {
  const own = original.shape[0] ?? 0;
  const { copied, targets } = assignment;
  const codes = new Int32Array(rows).fill(ZEROS);
  for (let i = 0; i < copied.to.length; i++) codes[copied.to[i] as number] = copied.from[i] as number;
  for (let i = 0; i < targets.length; i++) codes[targets[i] as number] = isVector ? MEAN_OF_ALL : own + i;
  const { view, model } = input;
  const pieces: RowGather["pieces"][number][] = [{ view, model, tensor: input.tensor }];
  if (approximation !== undefined) {
    const shape = [targets.length, ...original.shape.slice(1)];
    const made: TensorView = { file: scratch, offset: approximation.offset, dtype: original.dtype as Dtype, shape };
    pieces.push({ view: made, model, tensor });
  }
  // How many rows a mean is of, then which: all.
  const mixes = isVector ? Int32Array.from({ length: own + 1 }, (_, i) => (i === 0 ? own : i - 1)) : new Int32Array();
  return { pieces, rows: codes, mixes };
}
