/**
 * Builds everything that a release consists of, in dist/: the single executable with manual pages and completions, the npm
 * packages, a bill of materials and SHA256SUMS. The same sources give the same bytes.
 * `bun run release` for this machine's processor, `bun run release x64 arm64` for those named. Then the packages are
 * installed and tried. With --twice all is built once more, from nothing, and the checksums are compared.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import pkg from "../package.json" with { type: "json" };
import { ROOT } from "./paths.ts";
import { packFolder } from "./release/archive.ts";
import { cudaLibrary } from "./release/cuda.ts";
import { compileExecutable } from "./release/executable.ts";
import { layPrefix } from "./release/folder.ts";
import { checkLibc } from "./release/libc.ts";
import { nativeComponents } from "./release/native-components.ts";
import { layMainPackage, layPlatformPackage, packPackage } from "./release/packages.ts";
import { ARCHITECTURES, type Architecture, DIST, platformPackage, VERSION } from "./release/paths.ts";
import { buildFolder, buildPortableAddon } from "./release/portable-addon.ts";
import { billOfMaterials, parseLockfile } from "./release/sbom.ts";
import { stageTree } from "./release/stage.ts";
import { tryPackages } from "./release/trial.ts";

async function release(architectures: readonly Architecture[]): Promise<void> {
  const addons = new Map<Architecture, string>();
  for (const one of architectures) addons.set(one, await buildPortableAddon(one));
  rmSync(DIST, { recursive: true, force: true });
  mkdirSync(DIST);
  const stage = join(DIST, "stage");
  const files: string[] = [];
  for (const [one, addon] of addons) files.push(...(await buildArchives(join(stage, one), addon, one)));
  files.push(
    await buildMainPackage(stage, join(stage, architectures[0] as string, "tree")),
    await writeBill(architectures.some((one) => cudaLibrary(one) !== undefined)),
  );
  const sums = join(DIST, "SHA256SUMS");
  writeFileSync(sums, files.map((file) => `${sha256(file)}  ${basename(file)}\n`).join(""));
  rmSync(stage, { recursive: true });
  for (const file of [...files, sums]) {
    console.log(`${file.slice(ROOT.length + 1)}  ${(statSync(file).size / 1e6).toFixed(2)} MB`);
  }
}

/** What depends on the processor. @param stage a folder for what the archives are made of. @returns the archives. */
async function buildArchives(stage: string, addon: string, architecture: Architecture): Promise<string[]> {
  const tree = join(stage, "tree");
  const executable = join(stage, "sinter");
  stageTree(tree, addon);
  await compileExecutable(tree, executable, architecture);
  const cuda = cudaLibrary(architecture);
  if (cuda === undefined)
    console.log(`${architecture}: without the library for NVIDIA GPUs: no CUDA toolkit for it is here`);
  for (const file of [addon, executable, ...(cuda === undefined ? [] : [cuda])]) checkLibc(file);

  const prefix = `sinter-${VERSION}-linux-${architecture}`;
  const name = platformPackage(architecture);
  await layPrefix(join(stage, prefix), executable, architecture);
  await layPlatformPackage(join(stage, name), executable, addon, architecture);
  return [
    await packFolder(stage, prefix, join(DIST, `${prefix}.tar.gz`)),
    await packPackage(join(stage, name), name, DIST),
  ];
}

async function buildMainPackage(stage: string, tree: string): Promise<string> {
  const folder = join(stage, "main");
  await layMainPackage(folder, tree);
  return await packPackage(folder, pkg.name, DIST);
}

/** @param cuda whether the library for GPUs is in one of the archives. */
async function writeBill(cuda: boolean): Promise<string> {
  const lock = parseLockfile(readFileSync(join(ROOT, "bun.lock"), "utf8"));
  const file = join(DIST, `sinter-${VERSION}.cdx.json`);
  writeFileSync(file, billOfMaterials(pkg, lock, await nativeComponents(cuda), licenseOf));
  return file;
}

function licenseOf(name: string): string | undefined {
  const manifest = join(ROOT, "node_modules", name, "package.json");
  if (!existsSync(manifest)) return undefined;
  const { license } = JSON.parse(readFileSync(manifest, "utf8"));
  return typeof license === "string" ? license : undefined;
}

function sha256(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

/** Installs and runs what was built. @throws where it does not work, or processors give other bytes. */
async function tryAll(architectures: readonly Architecture[]): Promise<void> {
  const made = new Set<string>();
  for (const one of architectures) {
    const { merged, outcome } = await tryPackages(one);
    if (merged !== undefined) made.add(merged);
    console.log(`${platformPackage(one)}: ${outcome}`);
  }
  if (made.size > 1) throw new Error("the executables of several processors merge to other bytes");
}

/** Builds again from nothing, and says whether the same came out. @throws where it did not. */
async function buildAgain(architectures: readonly Architecture[]): Promise<void> {
  const sums = join(DIST, "SHA256SUMS");
  const before = readFileSync(sums, "utf8");
  for (const one of architectures) rmSync(buildFolder(one), { recursive: true });
  await release(architectures);
  const after = readFileSync(sums, "utf8");
  if (after !== before) throw new Error(`built twice, other bytes:\n${before}\n${after}`);
  console.log("built twice: the same bytes");
}

const named = ARCHITECTURES.filter((one) => process.argv.slice(2).includes(one));
const chosen = named.length > 0 ? named : ARCHITECTURES.filter((one) => one === process.arch);
await release(chosen);
await tryAll(chosen);
if (process.argv.includes("--twice")) await buildAgain(chosen);
