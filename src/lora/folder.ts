import { join } from "node:path";
import type { Report } from "../errors.ts";
import { listFiles } from "../model/folder-files.ts";
import { readJsonObject } from "../model/json-file.ts";
import { locateModel } from "../model/locate.ts";
import { formatModelPath, type ModelPath } from "../model/ref.ts";
import { readTensorFile } from "../model/tensor-file.ts";
import { readAdapterConfig } from "./config.ts";
import type { Adapter } from "./types.ts";

export const ADAPTER_CONFIG = "adapter_config.json";
/** PEFT reads the first of these that is there. */
export const ADAPTER_FILES = ["adapter_model.safetensors", "adapter_model.bin"] as const;

/**
 * Opens an adapter: a folder, or a snapshot in the Hugging Face cache, in PEFT's layout.
 * @returns undefined where it cannot be used; the report says why.
 */
export function openAdapter(path: ModelPath, cacheDir: string | undefined, report: Report): Adapter | undefined {
  const dir = locateModel(path, cacheDir, report);
  if (dir === undefined) return undefined;
  const files = listFiles(dir);
  const file = ADAPTER_FILES.find((name) => files.includes(name));
  if (!files.includes(ADAPTER_CONFIG) || file === undefined) {
    const missing = files.includes(ADAPTER_CONFIG) ? ADAPTER_FILES.join(" and no ") : ADAPTER_CONFIG;
    report.error({
      code: "no-adapter",
      message: `there is no adapter in ${dir}: no ${missing}`,
      hint: files.includes("config.json")
        ? "it is a whole model: name it alone, or merge it with its base"
        : "what follows a + is the folder or the hub id of a LoRA adapter in PEFT's layout",
    });
    return undefined;
  }
  const json = readJsonObject(join(dir, ADAPTER_CONFIG), ADAPTER_CONFIG, report);
  const config = json && readAdapterConfig(json, join(dir, ADAPTER_CONFIG), report);
  const header = readTensorFile(join(dir, file), report);
  if (config === undefined || header === undefined) return undefined;
  return {
    name: formatModelPath(path),
    dir,
    config,
    tensors: header.tensors,
    weightFiles: [{ path: join(dir, file), size: header.size }],
    sideFiles: files.filter((name) => name !== file && name !== ADAPTER_CONFIG),
  };
}
