import { mkdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { SinterError } from "../errors.ts";
import { shortHash } from "../hash.ts";
import { DTYPE_BYTES } from "../model/dtype.ts";
import { elementCount, type InputFile, type TensorView } from "../model/types.ts";
import type { Addon } from "../native.ts";
import type { OpInput } from "../plan/types.ts";
import { nativeProblem } from "../run/native-error.ts";
import { nativeInputs } from "../run/native-inputs.ts";
import { type ScratchFolder, scratchPath } from "../run/scratch.ts";
import { storedTokenWeights, type TokenModel } from "./models.ts";

/** A weight that is written as it is used, and where to. */
export interface AppliedRows {
  input: OpInput;
  path: string;
}

/**
 * The model with every weight of tokens in a file of its own that an adapter changes, or whose elements do not lie one
 * after another: what transplants read is stored rows. They are rounded to the weight's dtype, as in a model that is
 * written with its adapter.
 * @param out the output folder: the files lie in its scratch folder.
 * @returns the model, and what has to be written before its rows are read.
 */
export function planAppliedRows(model: TokenModel, out: string): { model: TokenModel; rows: AppliedRows[] } {
  const rows: AppliedRows[] = [];
  const tensors = new Map(model.model.tensors);
  const files: InputFile[] = [];
  for (const { found } of storedTokenWeights(model)) {
    const { view, name } = found;
    if (view.patches === undefined && view.strides === undefined) continue;
    const path = join(scratchPath(out), "applied", `${contentOf(view)}.bin`);
    const { dtype, shape } = view;
    rows.push({ input: { view, model: model.model.name, tensor: name, position: 0 }, path });
    tensors.set(name, { file: path, offset: 0, dtype, shape });
    files.push({ path, size: elementCount(shape) * DTYPE_BYTES[dtype], made: true });
  }
  if (rows.length === 0) return { model, rows };
  const weightFiles = [...model.model.weightFiles, ...files];
  return { model: { ...model, model: { ...model.model, tensors, weightFiles } }, rows };
}

/** @param scratch the folder that they were planned for. @throws SinterError */
export async function writeAppliedRows(
  rows: readonly AppliedRows[],
  scratch: ScratchFolder,
  addon: Addon,
): Promise<void> {
  if (rows.length > 0) scratch.take();
  for (const { input, path } of rows) {
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true });
    const handles = new Map<string, number>();
    const open = (file: string) => {
      const handle = handles.get(file) ?? addon.openSource(file).handle;
      handles.set(file, handle);
      return handle;
    };
    const { dtype, shape } = input.view;
    const count = elementCount(shape);
    const [rowCount = 1] = shape;
    const op = {
      tensor: input.tensor,
      dtype,
      shape,
      inputs: [input],
      kernel: "linear",
      params: [1],
      shard: 0,
      offset: 0,
    };
    let sink: number | undefined;
    try {
      sink = addon.createSink(path, count * DTYPE_BYTES[dtype]);
      await addon.merge({
        ...nativeInputs([input], open),
        kernel: "linear",
        params: [1],
        count,
        rows: rowCount,
        columns: shape.at(-1) ?? 1,
        seed: 0,
        tensor: input.tensor,
        sink,
        offset: 0,
        dtype,
        crc32: false,
      });
    } catch (error) {
      throw new SinterError(nativeProblem(error, { op, path }));
    } finally {
      if (sink !== undefined) addon.close(sink);
      for (const handle of handles.values()) addon.close(handle);
    }
  }
}

/** The plan's hash knows a file by its name: it says what is in it, whatever folders there are. */
function contentOf(view: TensorView): string {
  const text = JSON.stringify(view, (key, value) =>
    key === "file" ? basename(dirname(value)) + basename(value) : value,
  );
  return shortHash(text);
}
