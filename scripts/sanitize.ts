/**
 * `bun run sanitize [--thread] [--all-targets] [TESTS]`: builds the addon with the address and undefined-behaviour
 * sanitizers into build-asan/, or with the thread sanitizer into build-tsan/, and runs the tests that are named on it; by
 * default test/native, and with the former whole runs, too. Any report of a sanitizer ends the run as a failure. Kernels
 * are built for one instruction set, the addon's whole time of building otherwise; `--all-targets` builds them for all.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { addonFile, buildAddon } from "./addon.ts";
import { ROOT } from "./paths.ts";
import { oneTarget } from "./sanitize-target.ts";
import { SetupError } from "./setup-error.ts";
import { findToolchain } from "./toolchain.ts";

/** Kernels, the engine and devices: every method, dtype and odd size. */
const NATIVE_TESTS = ["test/native"];
/** What else goes through native code, from files to files, interrupted and with inputs that change included. */
const WHOLE_RUNS = [
  ...["test/forward", "test/moe", "test/extract", "test/transplant", "test/lora"],
  ...["test/durability/kill.test.ts", "test/durability/power-cut.test.ts", "test/fuzz/journal.test.ts"],
  ...["test/end-to-end/changing-input.test.ts", "test/end-to-end/verify.test.ts"],
];

interface Sanitizer {
  dir: string;
  /** What runs where no tests are named. */
  tests: readonly string[];
  /** As the compiler's -fsanitize names it. */
  flag: string;
  runtime: string;
  env: Record<string, string>;
}

const ADDRESS: Sanitizer = {
  dir: "build-asan",
  tests: [...NATIVE_TESTS, ...WHOLE_RUNS],
  flag: "address,undefined",
  runtime: "libasan.so",
  env: {
    // Bun does not free what it holds when it exits: its leaks would hide others.
    ASAN_OPTIONS: "detect_leaks=0:exitcode=99",
    UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1:exitcode=99",
  },
};

const THREAD: Sanitizer = {
  dir: "build-tsan",
  tests: NATIVE_TESTS,
  flag: "thread",
  runtime: "libtsan.so",
  env: {
    // Bun's own locks and memory are not built for the sanitizer, which sees the addon's alone. halt_on_error: a test
    // catches what a race breaks, but not a report.
    TSAN_OPTIONS: "halt_on_error=1:exitcode=99:ignore_noninstrumented_modules=1",
  },
};

/**
 * Bun is not built with the sanitizers, so their runtime has to be in the process before anything else is. The C++ runtime
 * too: Bun has its own inside, and the sanitizer looks only at start for the one that the addon throws with.
 */
async function runtimeLibraries(sanitizer: Sanitizer): Promise<string> {
  const { cxx } = await findToolchain();
  const paths = [sanitizer.runtime, "libstdc++.so.6"].map((name) =>
    Bun.spawnSync([cxx, `-print-file-name=${name}`])
      .stdout.toString()
      .trim(),
  );
  if (paths.every((path) => existsSync(path))) return paths.join(":");
  throw new SetupError(`${cxx} has no ${sanitizer.runtime}: the sanitizers need GCC. Run: CXX=g++ bun run sanitize`);
}

async function sanitize(sanitizer: Sanitizer, allTargets: boolean, tests: readonly string[]): Promise<number> {
  const preload = await runtimeLibraries(sanitizer);
  const only = allTargets ? [] : [`SINTER_ONLY_TARGET=${oneTarget()}`];
  const build = { dir: join(ROOT, sanitizer.dir), defines: [`SINTER_SANITIZE=${sanitizer.flag}`, ...only] };
  await buildAddon(build);
  const child = Bun.spawn([process.execPath, join(import.meta.dirname, "test.ts"), ...tests], {
    cwd: ROOT,
    env: {
      ...process.env,
      SINTER_ADDON: addonFile(build),
      LD_PRELOAD: preload,
      // In quotation marks as a whole, or a space in the path ends it.
      BUN_OPTIONS: `"--preload=${join(import.meta.dirname, "sanitize-preload.ts")}"`,
      ...sanitizer.env,
    },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return await child.exited;
}

try {
  const words = process.argv.slice(2);
  const named = words.filter((word) => !word.startsWith("--"));
  const sanitizer = words.includes("--thread") ? THREAD : ADDRESS;
  process.exit(await sanitize(sanitizer, words.includes("--all-targets"), named.length > 0 ? named : sanitizer.tests));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exit(1);
}
