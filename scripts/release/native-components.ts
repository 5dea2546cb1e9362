import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findEigen, versionIn } from "../eigen.ts";
import { ROOT } from "../paths.ts";
import type { Component } from "./sbom.ts";

/** What is compiled into the executable and the addon besides packages. */
export async function nativeComponents(): Promise<Component[]> {
  const installed = (name: string) =>
    JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8")).version as string;
  return [
    { name: "bun", version: Bun.version, license: "MIT", description: "The runtime, within the executable" },
    {
      name: "node-addon-api",
      version: installed("node-addon-api"),
      license: "MIT",
      description: "C++ headers, compiled into the addon",
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
    },
  ];
}

/** The header says it in three lines: `#define XXH_VERSION_MAJOR 0`. */
function xxHashVersion(): string {
  const text = readFileSync(join(ROOT, "node_modules", "xxhash-addon", "xxHash", "xxhash.h"), "utf8");
  const part = (name: string) => new RegExp(`#define XXH_VERSION_${name} +(\\d+)`).exec(text)?.[1] ?? "?";
  return ["MAJOR", "MINOR", "RELEASE"].map(part).join(".");
}
