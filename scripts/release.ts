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
import { compileExecutable } from "./release/executable.ts";
import { buildFolder } from "./release/folder.ts";
import { nativeComponents } from "./release/native-components.ts";
import { buildPackages } from "./release/packages.ts";
import { DIST, STAGE, VERSION } from "./release/paths.ts";
import { billOfMaterials, parseLockfile } from "./release/sbom.ts";
import { stageTree } from "./release/stage.ts";

const PORTABLE = { dir: join(ROOT, "build-release"), defines: ["SINTER_PORTABLE=ON"] };

async function release(): Promise<void> {
  rmSync(DIST, { recursive: true, force: true });
  mkdirSync(DIST);
  await buildAddon(PORTABLE);
  stageTree(addonFile(PORTABLE));
  await compileExecutable();
  const files = [await buildFolder(), ...(await buildPackages()), await writeBill()];
  writeFileSync(join(DIST, "SHA256SUMS"), files.map((file) => `${sha256(file)}  ${basename(file)}\n`).join(""));
  rmSync(STAGE, { recursive: true });
  for (const file of [...files, join(DIST, "SHA256SUMS")]) {
    console.log(`${file.slice(ROOT.length + 1)}  ${(statSync(file).size / 1e6).toFixed(1)} MB`);
  }
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
