import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SetupError } from "./setup-error.ts";

/** Where packages of the usual systems put Eigen's headers. */
const FOLDERS = ["/usr/include/eigen3", "/usr/local/include/eigen3", "/opt/homebrew/include/eigen3"];

const MIN_EIGEN = "3.4.0";

export interface EigenSearch {
  /** Folders that may hold `Eigen/Core`, best first. */
  folders: readonly string[];
  /** Tries to install the package; false where this user may not. */
  install(): Promise<boolean>;
}

const SYSTEM: EigenSearch = {
  folders: [...(process.env.EIGEN3_INCLUDE_DIR ? [process.env.EIGEN3_INCLUDE_DIR] : []), ...FOLDERS],
  install: installPackage,
};

/**
 * The folder of Eigen's headers, installed first where they are missing and this user may install packages.
 * @throws SetupError with the commands that install it.
 */
export async function findEigen(search: EigenSearch = SYSTEM): Promise<string> {
  const found = newEnough(search.folders);
  if (found !== undefined) return found;
  if (await search.install()) {
    const installed = newEnough(search.folders);
    if (installed !== undefined) return installed;
  }
  throw new SetupError(
    `Cannot build the native addon: Eigen ${MIN_EIGEN} or newer is not installed (EIGEN3_INCLUDE_DIR names its folder). ` +
      "Install: sudo apt-get install -y libeigen3-dev (Debian, Ubuntu) or sudo dnf install -y eigen3-devel (Fedora).",
  );
}

function newEnough(folders: readonly string[]): string | undefined {
  return folders.find((folder) => {
    const version = versionIn(folder);
    return version !== undefined && Bun.semver.order(version, MIN_EIGEN) >= 0;
  });
}

/** Eigen's own version: 3.x keeps it in Macros.h, 5.x in a header beside Core. */
export function versionIn(folder: string): string | undefined {
  const text = ["Eigen/src/Core/util/Macros.h", "Eigen/Version"]
    .map((path) => join(folder, path))
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, "utf8"))
    .join("\n");
  const part = (name: string) => new RegExp(`#define EIGEN_${name}_VERSION (\\d+)`).exec(text)?.[1];
  const [world, major, minor] = [part("WORLD"), part("MAJOR"), part("MINOR")];
  if (major === undefined || minor === undefined) return undefined;
  const semantic = /#define EIGEN_VERSION_STRING "(\d+\.\d+\.\d+)/.exec(text)?.[1];
  return semantic ?? `${world}.${major}.${minor}`;
}

async function installPackage(): Promise<boolean> {
  if (process.getuid?.() !== 0 || Bun.which("apt-get") === null) return false;
  console.error("Installing Eigen (libeigen3-dev) …");
  const install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "libeigen3-dev"];
  if (await succeeds(install)) return true;
  return (await succeeds(["apt-get", "update", "-qq"])) && (await succeeds(install));
}

async function succeeds(command: string[]): Promise<boolean> {
  const child = Bun.spawn(command, {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  return (await child.exited) === 0;
}
