import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { findEigen } from "./eigen.ts";
import { BUILD_DIR, ROOT } from "./paths.ts";
import { SetupError } from "./setup-error.ts";
import { findToolchain } from "./toolchain.ts";

/** Packages whose headers or build steps end up in the addon. */
const BUILD_PACKAGES = ["cmake-js", "node-addon-api", "node-api-headers", "xxhash-addon"];

/** Compiling every source once, in seconds of one CPU; for the line that announces the build. */
const BUILD_CPU_SECONDS = 200;

export interface AddonBuild {
  /** Build folder. */
  dir: string;
  /** CMake definitions, e.g. `SINTER_SANITIZE=ON`. */
  defines: readonly string[];
}

const RELEASE: AddonBuild = { dir: BUILD_DIR, defines: [] };

/** The build that `sinter` runs, with further CMake definitions. */
export function addonBuild(defines: readonly string[]): AddonBuild {
  return { ...RELEASE, defines };
}

/** The addon's file of a build. */
export function addonFile(build: AddonBuild = RELEASE): string {
  return join(build.dir, "Release", "sinter.node");
}

/**
 * Builds the native addon where its sources changed since the last build or the file is missing. The compiler's words
 * go to `build.log` in the build folder.
 * @throws SetupError where a tool is missing, or with the end of the log where the build fails.
 */
export async function buildAddon(build: AddonBuild = RELEASE): Promise<void> {
  const stamp = join(build.dir, "sources.sha256");
  const wanted = sourceHash(build);
  if (existsSync(addonFile(build)) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  const tools = await findToolchain();
  const eigen = await findEigen();
  dropForeignCache(build.dir);
  mkdirSync(build.dir, { recursive: true });
  rmSync(stamp, { force: true });

  const cpus = availableParallelism();
  const estimate = Math.max(10, Math.round(BUILD_CPU_SECONDS / cpus / 5) * 5);
  console.error(`Building the native addon (about ${estimate} s, once) …`);
  const begun = performance.now();
  const log = join(build.dir, "build.log");
  const settings = [
    `--directory=${ROOT}`,
    `--out=${build.dir}`,
    `--cmake-path=${tools.cmake}`,
    `--cxx=${tools.cxx}`,
    `--cc=${tools.cc}`,
    `--parallel=${cpus}`,
    `--CDSINTER_EIGEN=${eigen}`,
    ...build.defines.map((define) => `--CD${define}`),
  ];
  // `build` alone takes definitions only where nothing is configured yet.
  const configured = await cmakeJs("configure", settings, log);
  const built = configured.code === 0 ? await cmakeJs("build", settings, log) : configured;
  const output = built === configured ? built.output : configured.output + built.output;
  writeFileSync(log, output);
  if (built.code !== 0 || !existsSync(addonFile(build))) throw buildFailure(output, log);
  writeFileSync(stamp, wanted);
  console.error(`Built in ${((performance.now() - begun) / 1000).toFixed(0)} s.`);
}

/** @param log gets its words as it says them. */
async function cmakeJs(
  command: string,
  settings: readonly string[],
  log: string,
): Promise<{ code: number; output: string }> {
  // What is there is written over, not cut off.
  rmSync(log, { force: true });
  // It runs on Bun as well, so that Node need not be there.
  const program = join(ROOT, "node_modules", "cmake-js", "bin", "cmake-js");
  const child = Bun.spawn([process.execPath, program, command, ...settings], {
    cwd: ROOT,
    stdin: "ignore",
    stdout: Bun.file(log),
    stderr: "pipe",
  });
  const [errors, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  return { code, output: readFileSync(log, "utf8") + errors };
}

function buildFailure(output: string, log: string): SetupError {
  const lines = output.trimEnd().split("\n");
  const firstError = lines.findIndex((line) => /\b(fatal )?error\b[: ]/i.test(line));
  const shown = firstError === -1 ? lines.slice(-30) : lines.slice(firstError, firstError + 30);
  return new SetupError(
    `${shown.join("\n")}\n\nThe native addon does not build; the whole log is in ${relative(process.cwd(), log)}`,
  );
}

/** Changes with every byte that decides what the addon is. */
function sourceHash(build: AddonBuild): string {
  const hash = createHash("sha256");
  for (const path of sourceFiles())
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(ROOT, path)))
      .update("\0");
  // The addon carries Sinter's own version.
  hash.update(`${packageVersion(ROOT)}\0`);
  for (const name of BUILD_PACKAGES) hash.update(`${name} ${packageVersion(join(ROOT, "node_modules", name))}\0`);
  for (const name of ["CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS"]) hash.update(`${process.env[name] ?? ""}\0`);
  return hash.update(build.defines.join("\0")).digest("hex");
}

function sourceFiles(): string[] {
  const native = readdirSync(join(ROOT, "native"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
  return ["CMakeLists.txt", ...native.sort()];
}

function packageVersion(folder: string): string {
  const file = join(folder, "package.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).version : "missing";
}

/** CMake refuses a cache that was made for another folder: a repository that was moved starts afresh. */
function dropForeignCache(dir: string): void {
  const cache = join(dir, "CMakeCache.txt");
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, "utf8"))?.[1];
  if (home !== ROOT) rmSync(dir, { recursive: true, force: true });
}
