import { readFileSync } from "node:fs";

/**
 * The instruction set that instrumented builds have kernels for, by its name in CMakeLists.txt: the highest but AVX-512 that
 * this CPU runs. The kernels of all sets are the same sources.
 */
export function oneTarget(): string {
  if (process.arch !== "x64") return "arm64";
  return /^flags.*\bavx2\b/m.test(readFileSync("/proc/cpuinfo", "utf8")) ? "x86_64_v3" : "x86_64_v2";
}
