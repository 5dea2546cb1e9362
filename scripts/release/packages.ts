import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { ROOT } from "../paths.ts";
import { cudaLibrary } from "./cuda.ts";
import { ARCHITECTURES, type Architecture, CUDA_LIBRARY, platformName, platformPackage, VERSION } from "./paths.ts";
import { run } from "./run.ts";
import { copyInto, copyProgram } from "./stage.ts";

/** One file for both runtimes; no other is promised to work. */
const LIBRARY = { types: "./lib/types/index.d.ts", bun: "./lib/index.js", node: "./lib/index.js" };

/** What both packages say of themselves. */
const ABOUT = { version: VERSION, license: pkg.license, description: pkg.description, keywords: pkg.keywords };

/**
 * Fills a folder with what depends on system and processor: the executable, and the addon for those who import sinter.
 * The manifest is @napi-rs/cli's, of the targets in package.json, so that names, `os`, `cpu` and `libc` are what package
 * managers and bundlers know of addons.
 */
export async function layPlatformPackage(
  folder: string,
  executable: string,
  addon: string,
  architecture: Architecture,
): Promise<void> {
  // All in one folder: the addon and the executable look for the library for GPUs beside themselves.
  const cuda = cudaLibrary(architecture);
  const { engines: _, ...manifest } = await conventionalManifest(`${folder}-names`, architecture);
  copyProgram(executable, join(folder, "sinter"));
  if (cuda !== undefined) copyProgram(cuda, join(folder, CUDA_LIBRARY));
  copyProgram(addon, join(folder, manifest.main));
  copyInto(folder, "LICENSE");
  writeManifest(folder, {
    ...manifest,
    description: `The native parts of sinter for Linux on ${architecture}, with glibc`,
    files: [...manifest.files, "sinter", ...(cuda === undefined ? [] : [CUDA_LIBRARY])],
  });
}

/** @param scratch a folder for @napi-rs/cli, which reads package.json and writes below it. */
async function conventionalManifest(
  scratch: string,
  architecture: Architecture,
): Promise<{ main: string; files: string[]; engines?: object }> {
  mkdirSync(scratch);
  writeManifest(scratch, pkg);
  const cli = join(ROOT, "node_modules", "@napi-rs", "cli", "dist", "cli.js");
  await run([process.execPath, cli, "create-npm-dirs"], scratch);
  const made = readFileSync(join(scratch, "npm", platformName(architecture), "package.json"), "utf8");
  rmSync(scratch, { recursive: true });
  return JSON.parse(made);
}

/**
 * Fills a folder with everything else. It needs no other package than the platform's: the library is one file.
 * @param tree the sources.
 */
export async function layMainPackage(folder: string, tree: string): Promise<void> {
  const documents = ["LICENSE", "README.md", "CHANGELOG.md", "AGENTS.md", "llms.txt", "docs", "examples"];
  for (const name of [...documents, "schemas", "architectures"]) copyInto(folder, name);
  for (const name of Object.keys(pkg.bin)) copyProgram(join(ROOT, "bin", name), join(folder, "bin", name));
  copyFileSync(join(ROOT, "scripts", "release", "start.sh"), join(folder, "bin", "start.sh"));
  await bundleLibrary(join(folder, "lib"), tree);
  writeManifest(folder, {
    ...ABOUT,
    name: pkg.name,
    type: "module",
    bin: pkg.bin,
    exports: { ".": LIBRARY, "./package.json": "./package.json" },
    // For tools that do not read exports.
    main: LIBRARY.node,
    types: LIBRARY.types,
    files: ["bin", "lib", "architectures", "schemas", ...documents],
    optionalDependencies: Object.fromEntries(ARCHITECTURES.map((one) => [platformPackage(one), VERSION])),
  });
}

/** One module for Bun and Node beside its declarations. The addon stays outside, in the platform's package. */
async function bundleLibrary(lib: string, tree: string): Promise<void> {
  const shape = ["--target=node", "--format=esm", "--minify-whitespace", "--external=*.node"];
  await run([process.execPath, "build", "src/index.ts", ...shape, "--outfile", join(lib, "index.js")], tree);
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const project = join(lib, "tsconfig.json");
  const include = ["src/index.ts", "src/**/*.d.ts"].map((path) => join(tree, path));
  writeFileSync(project, JSON.stringify({ extends: join(tree, "tsconfig.json"), include }));
  const only = ["--declaration", "--emitDeclarationOnly", "--noEmit", "false"];
  const roots = ["--rootDir", join(tree, "src"), "--outDir", join(lib, "types")];
  const types = ["--typeRoots", join(tree, "node_modules")];
  await run([process.execPath, tsc, "-p", project, ...only, ...roots, ...types], tree);
  await Bun.file(project).delete();
}

/** Gives files and folders the permissions that everybody may have, whatever the umask of this machine left them. */
function evenModes(folder: string): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isSymbolicLink())
      chmodSync(path, entry.isDirectory() || (statSync(path).mode & 0o100) !== 0 ? 0o755 : 0o644);
  }
}

function writeManifest(folder: string, manifest: object): void {
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/** Packs a package. npm's archives have no times and owners of their own: the same files give the same bytes. */
export async function packPackage(folder: string, name: string, destination: string): Promise<string> {
  evenModes(folder);
  await run([process.execPath, "pm", "pack", "--ignore-scripts", "--destination", destination], folder);
  return join(destination, `${name}-${VERSION}.tgz`);
}
