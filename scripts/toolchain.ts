import { SetupError } from "./setup-error.ts";

/** Programs that build the addon, by name or path. */
export interface Toolchain {
  cmake: string;
  cxx: string;
  cc: string;
}

const MIN_CMAKE = "3.20.0";

/** The highest instruction-set level that kernels are compiled for; GCC 11 and Clang 12 are the first to know it. */
const TARGET_FLAGS = process.arch === "x64" ? ["-march=x86-64-v4"] : [];

/** Fails to compile before GCC 10 and Clang 12. */
const CXX20_PROBE = `
#include <bit>
#include <concepts>
#include <span>
template <std::unsigned_integral T> constexpr int high(T x) { return std::countl_zero(x); }
static_assert(high(1u) == 31);
int main() { int a[2] = {1, 2}; std::span<int> s(a); return [&]<class U>(U) { return int(s.size()); }(0); }
`;

/** @throws SetupError with one line that lists everything that is missing or too old, and how to install it. */
export async function findToolchain(): Promise<Toolchain> {
  const [cmake, compiler] = await Promise.all([findCmake(), findCompiler()]);
  const makeFound = Bun.which("ninja") !== null || Bun.which("make") !== null;
  const missing: string[] = [];
  if (cmake.problem !== undefined) missing.push(cmake.problem);
  if (compiler.problem !== undefined) missing.push(compiler.problem);
  if (!makeFound) missing.push("make or ninja is not installed");
  if (missing.length > 0) {
    throw new SetupError(
      `Cannot build the native addon: ${missing.join("; ")}. ` +
        "Install: sudo apt-get install -y cmake make g++ (Debian, Ubuntu) or sudo dnf install -y cmake make gcc-c++ (Fedora).",
    );
  }
  return { cmake: cmake.path, cxx: compiler.path, cc: matchingC(compiler.path) };
}

interface Found {
  path: string;
  problem?: string;
}

async function findCmake(): Promise<Found> {
  const path = Bun.which("cmake");
  if (path === null) return { path: "", problem: "CMake is not installed" };
  const { out } = await run([path, "--version"]);
  const version = /(\d+\.\d+\.\d+)/.exec(out)?.[1] ?? "0.0.0";
  if (Bun.semver.order(version, MIN_CMAKE) >= 0) return { path };
  return { path, problem: `CMake ${version} is too old (3.20 or newer is needed)` };
}

async function findCompiler(): Promise<Found> {
  const names = process.env.CXX === undefined || process.env.CXX === "" ? ["c++", "g++", "clang++"] : [process.env.CXX];
  const paths = names.map((name) => Bun.which(name)).filter((path) => path !== null);
  for (const path of paths) {
    const { code } = await run([path, "-std=c++20", ...TARGET_FLAGS, "-fsyntax-only", "-x", "c++", "-"], CXX20_PROBE);
    if (code === 0) return { path };
  }
  const [first] = paths;
  if (first === undefined) {
    const named = process.env.CXX ? `the compiler that CXX names (${process.env.CXX})` : "a C++ compiler";
    return { path: "", problem: `${named} is not installed` };
  }
  const { out } = await run([first, "--version"]);
  const version = out.split("\n")[0] ?? first;
  return {
    path: first,
    problem: `${version} is too old (GCC 11, Clang 12 or newer is needed; CXX chooses one)`,
  };
}

/** The C compiler that comes with a C++ compiler, which CMake asks for by name. */
function matchingC(cxx: string): string {
  if (process.env.CC) return process.env.CC;
  const candidate = cxx
    .replace(/clang\+\+/, "clang")
    .replace(/g\+\+/, "gcc")
    .replace(/c\+\+/, "cc");
  return candidate !== cxx && Bun.which(candidate) !== null ? candidate : cxx;
}

async function run(command: string[], input?: string): Promise<{ code: number; out: string }> {
  const child = Bun.spawn(command, {
    stdin: input === undefined ? "ignore" : new Blob([input]),
    stdout: "pipe",
    stderr: "ignore",
  });
  const [out, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  return { code, out };
}
