import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../paths.ts";
import type { Architecture } from "./paths.ts";

/** What the addon looks for beside itself and beside the executable: native/device/library.cc. */
export const CUDA_LIBRARY = "libsinter_cuda.so";

/**
 * The library for NVIDIA GPUs, where one was built for the processor: a release has it then, and works without it.
 * @returns its file.
 */
export function cudaLibrary(architecture: Architecture): string | undefined {
  const folders = architecture === process.arch ? ["build-release", "build"] : [`build-release-${architecture}`];
  for (const folder of folders.map((name) => join(ROOT, name)).filter(existsSync)) {
    const found = readdirSync(folder, { recursive: true, encoding: "utf8" }).find(
      (path) => path === CUDA_LIBRARY || path.endsWith(`/${CUDA_LIBRARY}`),
    );
    if (found !== undefined) return join(folder, found);
  }
  return undefined;
}
