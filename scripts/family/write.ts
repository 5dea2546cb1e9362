/** Writes a family of models in Hugging Face layout: a base, and fine-tunes that are bfloat16(base + noise). */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { BLOCK, fillNormal, fillTuned, streamKey } from "./noise.ts";
import { type FamilyShape, type FamilyTensor, familyConfig, familyTensors } from "./shape.ts";
import { familyTokenizer, json } from "./tokenizer.ts";

/** A member of the family. `noise` is the standard deviation of its distance from the base; 0 is the base itself. */
export interface FamilyModel {
  name: string;
  noise: number;
}

export interface Family {
  shape: FamilyShape;
  models: readonly FamilyModel[];
  /** Most bytes of tensor data per file. */
  shardBytes: number;
}

/** Counts up when the same family would come out with other bytes. */
const GENERATOR = 1;

/**
 * Writes every model to its own folder in `dir`. A family that is there already is left as it is.
 * @param onProgress called with bytes written and bytes in all.
 * @returns whether anything had to be written.
 */
export function writeFamily(dir: string, family: Family, onProgress?: (done: number, total: number) => void): boolean {
  const recipe = json({ generator: GENERATOR, ...family });
  const stamp = join(dir, "family.json");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === recipe) return false;
  rmSync(stamp, { force: true });
  for (const { name } of family.models) {
    rmSync(join(dir, name), { recursive: true, force: true });
    mkdirSync(join(dir, name), { recursive: true });
  }
  const shards = layOut(familyTensors(family.shape), family.shardBytes);
  const total = shards.reduce((sum, shard) => sum + shard.bytes, 0) * family.models.length;
  let done = 0;
  for (const shard of shards) {
    writeShard(dir, family.models, shard, (bytes) => {
      done += bytes;
      onProgress?.(done, total);
    });
  }
  for (const { name } of family.models) writeSideFiles(join(dir, name), family.shape, shards);
  writeFileSync(`${stamp}.tmp`, recipe);
  renameSync(`${stamp}.tmp`, stamp);
  return true;
}

/**
 * Writes a model whose weights are all zero and take no space on the disk, for measuring what only sizes matter to. A
 * model that is there already is left as it is.
 */
export function writeSparseModel(dir: string, shape: FamilyShape, shardBytes: number): void {
  const recipe = json({ generator: GENERATOR, sparse: true, shape, shardBytes });
  const stamp = join(dir, "family.json");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === recipe) return;
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const shards = layOut(familyTensors(shape), shardBytes);
  for (const shard of shards) {
    const header = safetensorsHeader(shard.tensors);
    writeFileSync(join(dir, shard.file), header);
    truncateSync(join(dir, shard.file), header.length + shard.bytes);
  }
  writeSideFiles(dir, shape, shards);
  writeFileSync(stamp, recipe);
}

interface Shard {
  file: string;
  tensors: FamilyTensor[];
  bytes: number;
}

function layOut(tensors: readonly FamilyTensor[], shardBytes: number): Shard[] {
  const shards: Shard[] = [];
  for (const tensor of tensors) {
    const bytes = 2 * count(tensor);
    let last = shards.at(-1);
    if (last === undefined || last.bytes + bytes > shardBytes) {
      last = { file: "", tensors: [], bytes: 0 };
      shards.push(last);
    }
    last.tensors.push(tensor);
    last.bytes += bytes;
  }
  const digits = (n: number) => String(n).padStart(5, "0");
  for (const [i, shard] of shards.entries()) {
    shard.file =
      shards.length === 1 ? "model.safetensors" : `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`;
  }
  return shards;
}

function count(tensor: FamilyTensor): number {
  return tensor.shape.reduce((product, size) => product * size, 1);
}

/** The safetensors header of bfloat16 tensors that follow one another: its length in 8 bytes, then JSON. */
export function safetensorsHeader(tensors: readonly { name: string; shape: readonly number[] }[]): Uint8Array {
  let at = 0;
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } };
  for (const { name, shape } of tensors) {
    const end = at + 2 * shape.reduce((product, size) => product * size, 1);
    entries[name] = { dtype: "BF16", shape, data_offsets: [at, end] };
    at = end;
  }
  const text = JSON.stringify(entries);
  const body = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const header = new Uint8Array(8 + body.length);
  new DataView(header.buffer).setBigUint64(0, BigInt(body.length), true);
  header.set(body, 8);
  return header;
}

/** Writes one file of every model at a time, so that each block of the base is made once. */
function writeShard(dir: string, models: readonly FamilyModel[], shard: Shard, onBytes: (bytes: number) => void): void {
  const header = safetensorsHeader(shard.tensors);
  const files = models.map(({ name }) => openSync(join(dir, name, shard.file), "w"));
  const base = new Uint16Array(BLOCK);
  const tuned = new Uint16Array(BLOCK);
  try {
    for (const file of files) writeSync(file, header);
    for (const tensor of shard.tensors) {
      const length = count(tensor);
      const baseKey = streamKey(tensor.name);
      for (let start = 0; start < length; start += BLOCK) {
        const size = Math.min(BLOCK, length - start);
        const block = base.subarray(0, size);
        fillNormal(block, baseKey, start, tensor.mean, tensor.std);
        for (const [i, { name, noise }] of models.entries()) {
          let out = block;
          if (noise > 0) {
            out = tuned.subarray(0, size);
            fillTuned(out, block, streamKey(`${name} ${tensor.name}`), start, noise);
          }
          writeAll(files[i] as number, out);
          onBytes(2 * size);
        }
      }
    }
  } finally {
    for (const file of files) closeSync(file);
  }
}

function writeAll(file: number, data: Uint16Array): void {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let done = 0;
  while (done < bytes.length) done += writeSync(file, bytes, done, bytes.length - done);
}

function writeSideFiles(dir: string, shape: FamilyShape, shards: readonly Shard[]): void {
  const { files, endOfText } = familyTokenizer();
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  writeFileSync(join(dir, "config.json"), json(familyConfig(shape, endOfText)));
  const generation = { bos_token_id: endOfText, eos_token_id: endOfText, do_sample: false, max_new_tokens: 2048 };
  writeFileSync(join(dir, "generation_config.json"), json(generation));
  if (shards.length === 1) return;
  const weightMap = Object.fromEntries(shards.flatMap(({ file, tensors }) => tensors.map(({ name }) => [name, file])));
  const totalSize = shards.reduce((sum, shard) => sum + shard.bytes, 0);
  writeFileSync(
    join(dir, "model.safetensors.index.json"),
    json({ metadata: { total_size: totalSize }, weight_map: weightMap }),
  );
}
