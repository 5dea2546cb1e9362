import { closeSync, ftruncateSync, mkdirSync, openSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { safetensorsHeader } from "../plan/safetensors-layout.ts";
import { torchShardBytes } from "../plan/torch-layout.ts";
import type { MergePlan, OpInput } from "../plan/types.ts";

/**
 * Makes a folder like the one that the plan will write, but for the tensors' bytes: files of their final size with their
 * headers, and holes where the data will lie. What is merged from it can so be planned before it is there.
 * @param folder is made; nothing may be there yet.
 */
export function sketchModel(plan: MergePlan, folder: string): void {
  const place = (name: string) => {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    return path;
  };
  for (const file of plan.sideFiles) {
    if ("text" in file) writeFileSync(place(file.name), file.text);
    else symlinkSync(resolve(file.from), place(file.name));
  }
  if (plan.index !== undefined) writeFileSync(place(plan.index.name), plan.index.text);
  plan.shards.forEach((shard, index) => {
    const file = openSync(place(shard.file), "wx");
    try {
      ftruncateSync(file, shard.size);
      for (const { offset, bytes } of frame(plan, index)) writeSync(file, bytes, 0, bytes.length, offset);
    } finally {
      closeSync(file);
    }
  });
}

/** All bytes of a shard that are no tensor's. */
function frame(plan: MergePlan, shard: number): readonly { offset: number; bytes: Uint8Array }[] {
  if (plan.shards[shard]?.format === "safetensors") return [{ offset: 0, bytes: safetensorsHeader(plan, shard) }];
  // Checksums of tensors that are not there yet: nobody reads them.
  return [...torchShardBytes(plan, shard, plan.shards[shard]?.ops.map(() => 0) ?? [])];
}

/** The plan with folders in place of their sketches: files that it names in one are those of the other. */
export function withoutSketches(plan: MergePlan, folders: ReadonlyMap<string, string>): MergePlan {
  if (folders.size === 0) return plan;
  const moved = new Map<string, string>();
  const real = (path: string) => {
    let found = moved.get(path);
    if (found === undefined) {
      const sketch = [...folders.keys()].find((folder) => path.startsWith(`${folder}/`));
      found = sketch === undefined ? path : (folders.get(sketch) as string) + path.slice(sketch.length);
      moved.set(path, found);
    }
    return found;
  };
  return {
    ...plan,
    inputFiles: plan.inputFiles.map((file) => ({ ...file, path: real(file.path) })),
    ops: plan.ops.map((op) => ({ ...op, inputs: op.inputs.map((input) => movedInput(input, real)) })),
    sideFiles: plan.sideFiles.map((file) => ("from" in file ? { ...file, from: real(file.from) } : file)),
  };
}

/** An input in other files; those of adapters are no model's, and stay. */
function movedInput(input: OpInput, real: (path: string) => string): OpInput {
  const moved = <T extends Pick<OpInput, "view">>(one: T): T => ({
    ...one,
    view: { ...one.view, file: real(one.view.file) },
  });
  const { gather } = input;
  return gather === undefined
    ? moved(input)
    : { ...moved(input), gather: { ...gather, pieces: gather.pieces.map(moved) } };
}
