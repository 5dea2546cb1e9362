import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { ROOT } from "../paths.ts";
import { EXECUTABLE } from "./executable.ts";
import { DIST, PLATFORM_PACKAGE, STAGE, VERSION } from "./paths.ts";
import { run } from "./run.ts";
import { copyInto, copyProgram, TREE } from "./stage.ts";

/** What both packages say of themselves. */
const ABOUT = { version: VERSION, license: pkg.license, description: pkg.description };

/** Writes both npm packages as archives. @returns their paths. */
export async function buildPackages(): Promise<string[]> {
  return [await buildPlatformPackage(), await buildMainPackage()];
}

/** What depends on system and processor: the executable for bin/, the addon for those who import the library. */
async function buildPlatformPackage(): Promise<string> {
  const folder = join(STAGE, PLATFORM_PACKAGE);
  copyProgram(EXECUTABLE, join(folder, "bin", "sinter"));
  copyProgram(join(TREE, "build", "Release", "sinter.node"), join(folder, "sinter.node"));
  copyInto(folder, "LICENSE");
  return await pack(folder, {
    ...ABOUT,
    name: PLATFORM_PACKAGE,
    description: `The native parts of sinter for ${process.platform} on ${process.arch}, with glibc`,
    os: [process.platform],
    cpu: [process.arch],
    libc: ["glibc"],
    main: "sinter.node",
    files: ["bin", "sinter.node"],
  });
}

/** Everything else. It needs no other package: the library is one file. */
async function buildMainPackage(): Promise<string> {
  const folder = join(STAGE, "sinter-package");
  for (const name of ["LICENSE", "README.md", "CHANGELOG.md", "docs", "examples", "schemas"]) copyInto(folder, name);
  copyInto(folder, "architectures");
  for (const name of Object.keys(pkg.bin)) copyProgram(join(ROOT, "bin", name), join(folder, "bin", name));
  copyFileSync(join(ROOT, "scripts", "release", "start.sh"), join(folder, "bin", "start.sh"));
  await bundleLibrary(folder);
  return await pack(folder, {
    ...ABOUT,
    name: pkg.name,
    type: "module",
    bin: pkg.bin,
    exports: { ".": { types: "./lib/types/index.d.ts", bun: "./lib/index.js" }, "./package.json": "./package.json" },
    files: ["bin", "lib", "architectures", "schemas", "docs", "examples", "CHANGELOG.md"],
    engines: pkg.engines,
    optionalDependencies: { [PLATFORM_PACKAGE]: VERSION },
  });
}

/** The library as one module beside its declarations. The addon stays outside, in the platform's package. */
async function bundleLibrary(folder: string): Promise<void> {
  const lib = join(folder, "lib");
  await run(
    [
      process.execPath,
      "build",
      "src/index.ts",
      "--target=bun",
      "--format=esm",
      "--minify-whitespace",
      "--external=*.node",
    ].concat(["--outfile", join(lib, "index.js")]),
    TREE,
  );
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const only = ["--declaration", "--emitDeclarationOnly", "--noEmit", "false"];
  writeFileSync(
    join(TREE, "tsconfig.types.json"),
    `${JSON.stringify({ extends: "./tsconfig.json", include: ["src/index.ts", "src/**/*.d.ts"] })}\n`,
  );
  await run(
    [process.execPath, tsc, "-p", "tsconfig.types.json", ...only, "--rootDir", "src", "--outDir", join(lib, "types")],
    TREE,
  );
}

/** npm's archives have no times and owners of their own: the same files give the same bytes. */
async function pack(folder: string, manifest: { name: string; [key: string]: unknown }): Promise<string> {
  mkdirSync(DIST, { recursive: true });
  const path = join(folder, "package.json");
  writeFileSync(path, `${JSON.stringify(manifest, undefined, 2)}\n`);
  chmodSync(path, 0o644);
  await run([process.execPath, "pm", "pack", "--ignore-scripts", "--destination", DIST], folder);
  return join(DIST, `${manifest.name}-${VERSION}.tgz`);
}
