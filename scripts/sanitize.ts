/**
 * `bun run sanitize [TESTS]`: builds the addon with the address and undefined-behaviour sanitizers into build-asan/ and
 * runs test/native, or the tests that are named, on it. Any report of a sanitizer ends the run as a failure.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { addonFile, buildAddon } from "./addon.ts";
import { ROOT } from "./paths.ts";
import { SetupError } from "./setup-error.ts";
import { findToolchain } from "./toolchain.ts";

const BUILD = { dir: join(ROOT, "build-asan"), defines: ["SINTER_SANITIZE=ON"] };

/**
 * Bun is not built with the sanitizers, so their runtime has to be in the process before anything else is. The C++ runtime
 * too: Bun has its own inside, and the sanitizer looks only at start for the one that the addon throws with.
 */
async function runtimeLibraries(): Promise<string> {
  const { cxx } = await findToolchain();
  const paths = ["libasan.so", "libstdc++.so.6"].map((name) =>
    Bun.spawnSync([cxx, `-print-file-name=${name}`])
      .stdout.toString()
      .trim(),
  );
  if (paths.every((path) => existsSync(path))) return paths.join(":");
  throw new SetupError(`${cxx} has no libasan.so: the sanitizers need GCC. Run: CXX=g++ bun run sanitize`);
}

async function sanitize(tests: readonly string[]): Promise<number> {
  const preload = await runtimeLibraries();
  await buildAddon(BUILD);
  const child = Bun.spawn([process.execPath, join(import.meta.dirname, "test.ts"), ...tests], {
    cwd: ROOT,
    env: {
      ...process.env,
      SINTER_ADDON: addonFile(BUILD),
      LD_PRELOAD: preload,
      // In quotation marks as a whole, or a space in the path ends it.
      BUN_OPTIONS: `"--preload=${join(import.meta.dirname, "sanitize-preload.ts")}"`,
      // Bun does not free what it holds when it exits: its leaks would hide others.
      ASAN_OPTIONS: "detect_leaks=0:exitcode=99",
      UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1:exitcode=99",
    },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return await child.exited;
}

try {
  const named = process.argv.slice(2);
  process.exit(await sanitize(named.length > 0 ? named : ["test/native"]));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exit(1);
}
