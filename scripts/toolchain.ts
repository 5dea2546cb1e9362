import { SetupError } from "./setup-error.ts";

/** Programs that build the addon, by path. */
export interface Toolchain {
  cmake: string;
  cxx: string;
  cc: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

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

/**
 * @param env where PATH, CXX and CC are looked up.
 * @throws SetupError with one line that lists everything that is missing or too old, and how to install it.
 */
export async function findToolchain(env: Environment = process.env): Promise<Toolchain> {
  const [cmake, compiler] = await Promise.all([findCmake(env), findCompiler(env)]);
  const missing: string[] = [];
  if (cmake.problem !== undefined) missing.push(cmake.problem);
  if (compiler.problem !== undefined) missing.push(compiler.problem);
  if (which("ninja", env) === null && which("make", env) === null) missing.push("make or ninja is not installed");
  if (missing.length > 0) {
    throw new SetupError(
      `Cannot build the native addon: ${missing.join("; ")}. ` +
        "Install: sudo apt-get install -y cmake make g++ (Debian, Ubuntu) or sudo dnf install -y cmake make gcc-c++ (Fedora).",
    );
  }
  return { cmake: cmake.path, cxx: compiler.path, cc: matchingC(compiler.path, env) };
}

interface Found {
  path: string;
  problem?: string;
}

async function findCmake(env: Environment): Promise<Found> {
  const path = which("cmake", env);
  if (path === null) return { path: "", problem: "CMake is not installed" };
  const { out } = await run([path, "--version"], env);
  const version = /(\d+\.\d+\.\d+)/.exec(out)?.[1] ?? "0.0.0";
  if (Bun.semver.order(version, MIN_CMAKE) >= 0) return { path };
  return { path, problem: `CMake ${version} is too old (3.20 or newer is needed)` };
}

async function findCompiler(env: Environment): Promise<Found> {
  const names = env.CXX ? [env.CXX] : ["c++", "g++", "clang++"];
  const paths = names.map((name) => which(name, env)).filter((path) => path !== null);
  for (const path of paths) {
    const { code } = await run(
      [path, "-std=c++20", ...TARGET_FLAGS, "-fsyntax-only", "-x", "c++", "-"],
      env,
      CXX20_PROBE,
    );
    if (code === 0) return { path };
  }
  const [first] = paths;
  if (first === undefined) {
    const named = env.CXX ? `the compiler that CXX names (${env.CXX})` : "a C++ compiler";
    return { path: "", problem: `${named} is not installed` };
  }
  const { out } = await run([first, "--version"], env);
  const version = out.split("\n")[0] ?? first;
  return { path: first, problem: `${version} is too old (GCC 11, Clang 12 or newer is needed; CXX chooses one)` };
}

/** The C compiler that comes with a C++ compiler: cmake-js wants both named. */
function matchingC(cxx: string, env: Environment): string {
  if (env.CC) return env.CC;
  const candidate = cxx
    .replace(/clang\+\+/, "clang")
    .replace(/g\+\+/, "gcc")
    .replace(/c\+\+/, "cc");
  return candidate !== cxx && which(candidate, env) !== null ? candidate : cxx;
}

function which(program: string, env: Environment): string | null {
  return Bun.which(program, { PATH: env.PATH ?? "" });
}

async function run(command: string[], env: Environment, input?: string): Promise<{ code: number; out: string }> {
  const child = Bun.spawn(command, {
    env,
    stdin: input === undefined ? "ignore" : new Blob([input]),
    stdout: "pipe",
    stderr: "ignore",
  });
  const [out, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  return { code, out };
}
