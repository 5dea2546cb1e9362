import { readFileSync } from "node:fs";
import { join } from "node:path";
import { toolkitVersion } from "../cuda.ts";
import { findEigen, versionIn } from "../eigen.ts";
import { ROOT } from "../paths.ts";
import { findToolchain } from "../toolchain.ts";
import { run } from "./run.ts";
import type { Component } from "./sbom.ts";

/** What is compiled into the executable, the addon and, where `cuda`, the library for GPUs besides packages. */
export async function nativeComponents(cuda: boolean): Promise<Component[]> {
  const installed = (name: string) =>
    JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8")).version as string;
  return [
    {
      name: "bun",
      version: Bun.version,
      license: "MIT",
      description: "The runtime, within the executable",
      purl: `pkg:npm/bun@${Bun.version}`,
    },
    {
      name: "libstdc++",
      version: await gccVersion(),
      license: "GPL-3.0-or-later WITH GCC-exception-3.1",
      description: "The C++ library and libgcc, linked into the addon",
    },
    {
      name: "node-addon-api",
      version: installed("node-addon-api"),
      license: "MIT",
      description: "C++ headers, compiled into the addon",
      purl: `pkg:npm/node-addon-api@${installed("node-addon-api")}`,
    },
    {
      name: "eigen",
      version: versionIn(await findEigen()) ?? "?",
      license: "MPL-2.0",
      description: "Linear algebra, compiled into the addon",
    },
    {
      name: "xxHash",
      version: xxHashVersion(),
      license: "BSD-2-Clause",
      description: "Checksums, compiled into the addon; from the package xxhash-addon",
      purl: `pkg:github/cyan4973/xxhash@v${xxHashVersion()}`,
    },
    ...(cuda ? [CUDA_RUNTIME()] : []),
  ];
}

const CUDA_RUNTIME = (): Component => ({
  name: "cudart",
  version: toolkitVersion() ?? "?",
  license: "LicenseRef-NVIDIA-CUDA-EULA",
  description: "NVIDIA's CUDA runtime, linked into libsinter_cuda.so",
});

/** Of the compiler, whose library it is. Clang, which takes that of a GCC, does not say which. */
async function gccVersion(): Promise<string> {
  const { cxx } = await findToolchain();
  return await run([cxx, "-dumpfullversion"], ROOT).then(
    (text) => text.trim(),
    () => "?",
  );
}

/** The header says it in three lines: `#define XXH_VERSION_MAJOR 0`. */
function xxHashVersion(): string {
  const text = readFileSync(join(ROOT, "node_modules", "xxhash-addon", "xxHash", "xxhash.h"), "utf8");
  const part = (name: string) => new RegExp(`#define XXH_VERSION_${name} +(\\d+)`).exec(text)?.[1] ?? "?";
  return ["MAJOR", "MINOR", "RELEASE"].map(part).join(".");
}
