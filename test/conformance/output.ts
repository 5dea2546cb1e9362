import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readSafetensors, type StoredTensor } from "../support/safetensors.ts";
import { readTorchFile } from "../support/torch-file.ts";

/** A merged model, read back. */
export interface Output {
  folder: string;
  tensors: ReadonlyMap<string, StoredTensor>;
  config: Record<string, unknown> | undefined;
}

const WEIGHTS = /^(model|adapter_model|pytorch_model)(-\d{5}-of-\d{5})?\.(safetensors|bin)$/;

/** @throws where a shard does not read, or the index does not name exactly what the shards hold. */
export function readOutput(folder: string): Output {
  const tensors = new Map<string, StoredTensor>();
  const places = new Map<string, string>();
  for (const file of readdirSync(folder)
    .filter((name) => WEIGHTS.test(name))
    .sort()) {
    const path = join(folder, file);
    for (const [name, tensor] of file.endsWith(".bin") ? readTorchFile(path) : readSafetensors(path).tensors) {
      if (tensors.has(name)) throw new Error(`${name} is in ${places.get(name)} and in ${file}`);
      tensors.set(name, tensor);
      places.set(name, file);
    }
  }
  checkIndex(folder, tensors, places);
  const config = join(folder, "config.json");
  return { folder, tensors, config: existsSync(config) ? JSON.parse(readFileSync(config, "utf8")) : undefined };
}

function checkIndex(folder: string, tensors: Output["tensors"], places: ReadonlyMap<string, string>): void {
  const file = readdirSync(folder).find((name) => name.endsWith(".index.json"));
  if (file === undefined) {
    if (new Set(places.values()).size > 1) throw new Error("several shards and no index");
    return;
  }
  const index = JSON.parse(readFileSync(join(folder, file), "utf8"));
  if (!Bun.deepEquals(index.weight_map, Object.fromEntries(places)))
    throw new Error(`${file} is not what the shards hold`);
  const bytes = tensors.values().reduce((sum, tensor) => sum + tensor.bytes.length, 0);
  if (index.metadata.total_size !== bytes)
    throw new Error(`${file}: total_size is ${index.metadata.total_size}, not ${bytes}`);
}
