import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFamily } from "../family/write.ts";
import { ROOT } from "../paths.ts";
import { type Architecture, CUDA_LIBRARY, DIST, platformName, platformPackage, VERSION } from "./paths.ts";
import { run } from "./run.ts";

/** What a trial ended with. */
export interface Trial {
  /** SHA-256 of the merge that it made; undefined where it could not be tried. */
  merged: string | undefined;
  /** In words. */
  outcome: string;
}

const SHAPE = { hidden: 112, intermediate: 256, layers: 2, heads: 14, kvHeads: 2, vocab: 512 };
const RECIPE = `merge_method: dare_ties
base_model: ./base
models:
  - {model: ./tuned, parameters: {weight: 0.7, density: 0.5}}
dtype: bfloat16
`;

/** For the C library of another processor, as Debian's cross compilers bring it. */
const SYSROOTS: Readonly<Record<Architecture, string>> = {
  x64: "/usr/x86_64-linux-gnu",
  arm64: "/usr/aarch64-linux-gnu",
};
const EMULATORS: Readonly<Record<Architecture, string>> = { x64: "qemu-x86_64", arm64: "qemu-aarch64" };

/**
 * Installs the packages in dist/ as npm lays them, and merges two small models with the executable. Another processor's is
 * run by qemu-user, where that is installed.
 * @throws where the executable does not do what it should.
 */
export async function tryPackages(architecture: Architecture): Promise<Trial> {
  const emulator = emulatorFor(architecture);
  if (emulator === undefined) return { merged: undefined, outcome: `not tried: ${EMULATORS[architecture]} is missing` };
  const folder = mkdtempSync(join(tmpdir(), "sinter-trial-"));
  try {
    const modules = join(folder, "node_modules");
    for (const name of ["sinter", platformPackage(architecture)]) {
      mkdirSync(join(modules, name), { recursive: true });
      await run(
        ["tar", "-xzf", join(DIST, `${name}-${VERSION}.tgz`), "-C", join(modules, name), "--strip-components=1"],
        folder,
      );
    }
    const sinter = [...emulator, join(modules, platformPackage(architecture), "sinter")];
    const version = await run([...sinter, "--version"], folder);
    if (version !== `sinter ${VERSION}\n`) throw new Error(`the ${architecture} executable says ${version}`);
    if (existsSync(join(modules, platformPackage(architecture), CUDA_LIBRARY))) await loadCudaLibrary(folder, sinter);
    const merged = await mergeSmall(folder, sinter);
    if (emulator.length === 0) return { merged, outcome: "installed, and merges" };
    await testKernels(
      sinter,
      join(modules, platformPackage(architecture), `sinter.${platformName(architecture)}.node`),
    );
    return { merged, outcome: `installed, merges, and passes the kernels' tests (${emulator[0]})` };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** With a GPU or without: what is beside the executable must load, and be of its version. */
async function loadCudaLibrary(folder: string, sinter: readonly string[]): Promise<void> {
  const said = await run([...sinter, "doctor"], folder);
  const line = said.split("\n").find((row) => row.startsWith("CUDA ")) ?? "sinter doctor says nothing of CUDA";
  if (/says nothing|does not load|there is no library|is no library|is of Sinter|speaks interface/.test(line)) {
    throw new Error(line);
  }
}

function emulatorFor(architecture: Architecture): readonly string[] | undefined {
  if (architecture === process.arch) return [];
  const emulator = EMULATORS[architecture];
  if (Bun.which(emulator) === null || !existsSync(SYSROOTS[architecture])) return undefined;
  return [emulator, "-L", SYSROOTS[architecture]];
}

/**
 * The kernels of another processor against the oracle: an executable is also a Bun, which runs tests (CONTRIBUTING.md).
 * Those of this processor are what the tests of the repository try.
 */
async function testKernels(sinter: readonly string[], addon: string): Promise<void> {
  const files = ["agreement", "conversion", "checksum"].map((name) => `test/native/${name}.test.ts`);
  const env = { ...process.env, BUN_BE_BUN: "1", SINTER_ADDON: addon };
  await run([...sinter, "test", "--timeout", String(3_600_000), ...files], ROOT, env);
}

/** @returns the SHA-256 of the weights. */
async function mergeSmall(folder: string, sinter: readonly string[]): Promise<string> {
  const models = [
    { name: "base", noise: 0 },
    { name: "tuned", noise: 3e-4 },
  ];
  writeFamily(join(folder, "models"), { shape: SHAPE, models, shardBytes: 60_000_000 });
  for (const { name } of models) symlinkSync(join(folder, "models", name), join(folder, name));
  writeFileSync(join(folder, "recipe.yml"), RECIPE);
  await run([...sinter, "merge", "recipe.yml", "merged", "--quiet"], folder);
  await run([...sinter, "verify", "merged", "--quiet"], folder);
  return new Bun.CryptoHasher("sha256").update(readFileSync(join(folder, "merged", "model.safetensors"))).digest("hex");
}
