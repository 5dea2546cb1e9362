/**
 * What every other script needs: the dependencies and the native addon, each brought up to date only where it is not.
 * Runs before anything is installed, so this file and what it imports use nothing but Bun.
 */
import { lstatSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { buildAddon } from "./addon.ts";
import { installDependencies } from "./dependencies.ts";
import { BUILD_DIR } from "./paths.ts";
import { SetupError } from "./setup-error.ts";

const NEEDED = "1.4.5";

/** @throws SetupError with one line that says what is missing and how to get it. */
export async function setup(): Promise<void> {
  if (Bun.semver.order(Bun.version, NEEDED) < 0) {
    throw new SetupError(
      `Sinter needs Bun ${NEEDED} or newer, this is ${Bun.version}. Run: npx --yes bun@${NEEDED} run demo`,
    );
  }
  await installDependencies();
  await buildAddon();
  rememberBun();
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
    await setup();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
