import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { ROOT } from "../paths.ts";

export const VERSION = pkg.version;

/** What a release consists of lies here. */
export const DIST = join(ROOT, "dist");

/** Processors that there are releases for; all of them on Linux with glibc. */
export const ARCHITECTURES = ["x64", "arm64"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** A platform's name, as @napi-rs/cli and what loads addons call it. */
export function platformName(architecture: Architecture): string {
  return `linux-${architecture}-gnu`;
}

/** The package with the native parts for a processor: `src/native.ts` looks for it by this name. */
export function platformPackage(architecture: Architecture): string {
  return `${pkg.name}-${platformName(architecture)}`;
}

/** What the addon looks for beside itself and beside the executable: native/device/library.cc. */
export const CUDA_LIBRARY = "libsinter_cuda.so";
