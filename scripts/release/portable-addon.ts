import { rmSync } from "node:fs";
import { join } from "node:path";
import { addonFile, buildAddon } from "../addon.ts";
import { ALL_DEVICES, hasToolkit, WITHOUT } from "../cuda.ts";
import { findEigen } from "../eigen.ts";
import { ROOT } from "../paths.ts";
import { type Architecture, CUDA_LIBRARY } from "./paths.ts";
import { run } from "./run.ts";

/** Where the addon of a release is built. */
export function buildFolder(architecture: Architecture): string {
  return join(ROOT, architecture === process.arch ? "build-release" : `build-release-${architecture}`);
}

/**
 * Builds the addon that needs nothing but the C library; where a CUDA toolkit is, and no cross compiler is needed, with the
 * library for NVIDIA GPUs of all kinds. @returns the addon's file.
 */
export async function buildPortableAddon(architecture: Architecture): Promise<string> {
  if (architecture !== process.arch) return await crossCompile();
  const cuda = hasToolkit() ? ALL_DEVICES : WITHOUT;
  const build = { dir: buildFolder(architecture), defines: ["SINTER_PORTABLE=ON", ...cuda.defines] };
  if (!cuda.builds) rmSync(join(build.dir, "Release", CUDA_LIBRARY), { force: true });
  await buildAddon(build);
  return addonFile(build);
}

/** For arm64, with Debian's cross compiler (the package g++-aarch64-linux-gnu). CMake builds what has changed. */
async function crossCompile(): Promise<string> {
  const compiler = "aarch64-linux-gnu-g++";
  if (Bun.which(compiler) === null)
    throw new Error(`${compiler} is not installed: apt-get install g++-aarch64-linux-gnu`);
  const dir = buildFolder("arm64");
  const file = addonFile({ dir, defines: [] });
  const settings = {
    CMAKE_SYSTEM_NAME: "Linux",
    CMAKE_SYSTEM_PROCESSOR: "aarch64",
    CMAKE_CXX_COMPILER: compiler,
    CMAKE_LIBRARY_OUTPUT_DIRECTORY: join(dir, "Release"),
    SINTER_EIGEN: await findEigen(),
    SINTER_PORTABLE: "ON",
  };
  const defines = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
  await run(["cmake", "-S", ROOT, "-B", dir, ...defines], ROOT);
  await run(["cmake", "--build", dir, "--parallel"], ROOT);
  return file;
}
