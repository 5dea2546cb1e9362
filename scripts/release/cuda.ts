import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Architecture, CUDA_LIBRARY } from "./paths.ts";
import { buildFolder } from "./portable-addon.ts";

/**
 * The library for NVIDIA GPUs, where the release's own build has one for the processor: a release works without it.
 * @returns its file.
 */
export function cudaLibrary(architecture: Architecture): string | undefined {
  const file = join(buildFolder(architecture), "Release", CUDA_LIBRARY);
  return existsSync(file) ? file : undefined;
}
