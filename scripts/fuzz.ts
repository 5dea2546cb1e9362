/**
 * `bun run fuzz [SECONDS]`: builds the fuzzer of the addon's boundary (test/fuzz/native) with Clang into build-fuzz/,
 * records what some tests call the addon with as the corpus to begin with, and fuzzes for that long (60 s). What it learns
 * stays in build-fuzz/corpus, for the next run. `--check` only says by the exit code whether Clang and libFuzzer are there,
 * and installs them first where it may.
 */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { findEigen } from "./eigen.ts";
import { ROOT } from "./paths.ts";
import { oneTarget } from "./sanitize-target.ts";
import { SetupError } from "./setup-error.ts";
import { findToolchain } from "./toolchain.ts";

const BUILD = join(ROOT, "build-fuzz");
const SEEDS = join(BUILD, "seeds");
const CORPUS = join(BUILD, "corpus");
const FINDINGS = join(BUILD, "findings");
/** What the fuzzer found before, and is mended. */
const FOUND = join(ROOT, "test", "fuzz", "native", "found");

/** Tests that call the addon in many ways and in little time. */
const RECORDED = [
  ...["boundary", "wrong-ops", "patch", "strided", "gather", "decompose", "difference", "mixture", "shapes"],
  ...["ties", "della", "dare", "sce", "ram", "compute-only", "transplant", "directions"],
].map((name) => `test/native/${name}.test.ts`);
RECORDED.push("test/forward", "test/moe/routing.test.ts");

const NEEDED =
  "The fuzzer needs Clang with libFuzzer. Install: sudo apt-get install -y clang and libclang-rt-VERSION-dev " +
  "(Debian, Ubuntu) or sudo dnf install -y clang compiler-rt (Fedora).";

async function run(command: string[], env: Record<string, string> = {}): Promise<{ code: number; out: string }> {
  const child = Bun.spawn(command, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out: out + errors };
}

/** The path of a Clang that links libFuzzer. */
async function findFuzzingClang(): Promise<string | undefined> {
  const clang = Bun.which("clang++");
  if (clang === null) return undefined;
  mkdirSync(BUILD, { recursive: true });
  const probe = join(BUILD, "probe.cc");
  writeFileSync(probe, 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n');
  const built = await run([clang, "-fsanitize=fuzzer,address,undefined", probe, "-o", join(BUILD, "probe")]);
  return built.code === 0 ? clang : undefined;
}

/** @throws SetupError where there is none and this user may install none. */
async function fuzzingClang(): Promise<string> {
  const found = await findFuzzingClang();
  if (found !== undefined) return found;
  if (process.getuid?.() !== 0 || Bun.which("apt-get") === null) throw new SetupError(NEEDED);
  console.error("Installing Clang …");
  const install = (name: string) =>
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", name], { DEBIAN_FRONTEND: "noninteractive" });
  if ((await install("clang")).code !== 0) {
    await run(["apt-get", "update", "-qq"]);
    await install("clang");
  }
  const version = /version (\d+)/.exec((await run(["clang++", "--version"])).out)?.[1];
  if (version !== undefined) await install(`libclang-rt-${version}-dev`);
  const installed = await findFuzzingClang();
  if (installed === undefined) throw new SetupError(NEEDED);
  return installed;
}

async function build(clang: string): Promise<string> {
  const { cmake } = await findToolchain();
  const defines = [`CMAKE_CXX_COMPILER=${clang}`, "SINTER_FUZZ=ON", `SINTER_ONLY_TARGET=${oneTarget()}`];
  console.error("Building the fuzzer (minutes, once) …");
  const made = await run([
    cmake,
    "-S",
    ROOT,
    "-B",
    BUILD,
    ...definitions([...defines, `SINTER_EIGEN=${await findEigen()}`]),
  ]);
  const built =
    made.code === 0
      ? await run([cmake, "--build", BUILD, "--target", "sinter", "--parallel", `${availableParallelism()}`])
      : made;
  writeFileSync(join(BUILD, "build.log"), made.out + built.out);
  if (built.code !== 0)
    throw new SetupError(`${built.out.slice(-3000)}\n\nThe fuzzer does not build: build-fuzz/build.log`);
  return join(BUILD, "sinter");
}

const definitions = (defines: readonly string[]) => defines.map((define) => `-D${define}`);

async function recordSeeds(): Promise<void> {
  mkdirSync(SEEDS, { recursive: true });
  if (readdirSync(SEEDS).length > 0) return;
  console.error("Recording what tests call the addon with …");
  await run([process.execPath, "test", "--timeout=120000", ...RECORDED], {
    SINTER_ADDON: join(ROOT, "test", "fuzz", "native", "record.ts"),
    SINTER_RECORD: SEEDS,
  });
  if (readdirSync(SEEDS).length === 0) throw new SetupError("The tests recorded nothing for the fuzzer to begin with.");
}

async function fuzz(seconds: number): Promise<number> {
  const fuzzer = await build(await fuzzingClang());
  await recordSeeds();
  for (const folder of [CORPUS, FINDINGS]) mkdirSync(folder, { recursive: true });
  const child = Bun.spawn(
    [
      fuzzer,
      `-max_total_time=${seconds}`,
      "-seed=1",
      "-max_len=65536",
      // Seconds, and MB: a session that takes more is a finding.
      "-timeout=60",
      "-rss_limit_mb=4096",
      "-verbosity=0",
      "-print_final_stats=1",
      `-artifact_prefix=${FINDINGS}/`,
      CORPUS,
      SEEDS,
      FOUND,
    ],
    { cwd: BUILD, stdin: "ignore", stdout: "inherit", stderr: "inherit" },
  );
  const code = await child.exited;
  if (code !== 0) console.error("Once more: build-fuzz/sinter build-fuzz/findings/NAME");
  return code;
}

const [word = "60"] = process.argv.slice(2);
try {
  if (word === "--check") await fuzzingClang();
  else if (!(Number(word) > 0)) throw new SetupError("usage: bun run fuzz [SECONDS]");
  else process.exit(await fuzz(Number(word)));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exit(1);
}
