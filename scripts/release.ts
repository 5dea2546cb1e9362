/**
 * Builds everything that a release consists of, in dist/: the single executable with manual pages and completions, the npm
 * packages, a bill of materials and SHA256SUMS. The same sources give the same bytes. `bun run release`
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import pkg from "../package.json" with { type: "json" };
import { addonFile, buildAddon } from "./addon.ts";
import { ROOT } from "./paths.ts";
import { packFolder } from "./release/archive.ts";
import { compileExecutable } from "./release/executable.ts";
import { layPrefix } from "./release/folder.ts";
import { nativeComponents } from "./release/native-components.ts";
import { layMainPackage, layPlatformPackage, packPackage } from "./release/packages.ts";
import { DIST, PLATFORM, PLATFORM_PACKAGE, VERSION } from "./release/paths.ts";
import { billOfMaterials, parseLockfile } from "./release/sbom.ts";
import { stageTree } from "./release/stage.ts";

const PORTABLE = { dir: join(ROOT, "build-release"), defines: ["SINTER_PORTABLE=ON"] };

async function release(): Promise<void> {
  await buildAddon(PORTABLE);
  rmSync(DIST, { recursive: true, force: true });
  mkdirSync(DIST);
  const files = [...(await buildArchives(join(DIST, "stage"))), await writeBill()];
  const sums = join(DIST, "SHA256SUMS");
  writeFileSync(sums, files.map((file) => `${sha256(file)}  ${basename(file)}\n`).join(""));
  rmSync(join(DIST, "stage"), { recursive: true });
  for (const file of [...files, sums]) {
    console.log(`${file.slice(ROOT.length + 1)}  ${(statSync(file).size / 1e6).toFixed(2)} MB`);
  }
}

/** @param stage a folder for what the archives are made of. @returns the archives. */
async function buildArchives(stage: string): Promise<string[]> {
  const tree = join(stage, "tree");
  const executable = join(stage, "sinter");
  stageTree(tree, addonFile(PORTABLE));
  await compileExecutable(tree, executable);

  const prefix = `sinter-${VERSION}-${PLATFORM}`;
  const packages = [join(stage, PLATFORM_PACKAGE), join(stage, "main")] as const;
  await layPrefix(join(stage, prefix), executable);
  layPlatformPackage(packages[0], executable, addonFile(PORTABLE));
  await layMainPackage(packages[1], tree);
  return [
    await packFolder(stage, prefix, join(DIST, `${prefix}.tar.gz`)),
    await packPackage(packages[0], PLATFORM_PACKAGE, DIST),
    await packPackage(packages[1], pkg.name, DIST),
  ];
}

async function writeBill(): Promise<string> {
  const lock = parseLockfile(readFileSync(join(ROOT, "bun.lock"), "utf8"));
  const file = join(DIST, `sinter-${VERSION}.cdx.json`);
  writeFileSync(file, billOfMaterials(pkg, lock, await nativeComponents(), licenseOf));
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

await release();
