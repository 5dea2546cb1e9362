/**
 * What every other script needs: the dependencies and the native addon, each brought up to date only where it is not.
 * Runs before anything is installed, so this file and what it imports use nothing but Bun.
 */
import { lstatSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { addonBuild, buildAddon } from "./addon.ts";
import { type CudaBuild, cudaBuild, WITHOUT } from "./cuda.ts";
import { installDependencies } from "./dependencies.ts";
import { BUILD_DIR } from "./paths.ts";
import { SetupError } from "./setup-error.ts";

const NEEDED = "1.4.5";

/**
 * @param args `--cuda`, `--cuda=90`, `--no-cuda`: see cuda.ts.
 * @throws SetupError with one line that says what is missing and how to get it.
 */
export async function setup(args: readonly string[] = []): Promise<void> {
  if (Bun.semver.order(Bun.version, NEEDED) < 0) {
    throw new SetupError(
      `Sinter needs Bun ${NEEDED} or newer, this is ${Bun.version}. Run: npx --yes bun@${NEEDED} run demo`,
    );
  }
  await installDependencies();
  await buildWithDevices(args);
  rememberBun();
}

/** Nobody's build fails for a library that nobody asked for. */
async function buildWithDevices(args: readonly string[]): Promise<void> {
  const cuda = cudaBuild(args);
  try {
    await build(cuda);
  } catch (error) {
    if (cuda.asked || !cuda.builds || !(error instanceof SetupError)) throw error;
    console.error(`The library for GPUs does not build, going on without it:\n${error.message}`);
    await build(WITHOUT);
  }
}

async function build(cuda: CudaBuild): Promise<void> {
  // One of an earlier build would be found and not fit.
  if (!cuda.builds) rmSync(join(BUILD_DIR, "Release", "libsinter_cuda.so"), { force: true });
  await buildAddon(addonBuild(cuda.defines));
}

/** `bin/sinter` falls back on this link where Bun is not on the PATH, as after `npx bun run demo`. */
function rememberBun(): void {
  const link = join(BUILD_DIR, "bun");
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() && readlinkSync(link) === process.execPath) return;
  rmSync(link, { force: true });
  symlinkSync(process.execPath, link);
}

if (import.meta.main) {
  try {
    await setup(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
