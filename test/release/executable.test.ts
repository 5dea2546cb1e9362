import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { ROOT } from "../../scripts/paths.ts";
import { compileExecutable } from "../../scripts/release/executable.ts";
import { layMainPackage, layPlatformPackage } from "../../scripts/release/packages.ts";
import { type Architecture, platformPackage } from "../../scripts/release/paths.ts";
import { ADDON_PLACE } from "../../scripts/release/stage.ts";
import { writeTinyModels } from "../commands/tiny-models.ts";
import { HOST_LIBRARY } from "../native/host-device.ts";
import { PATIENCE } from "../support/patience.ts";
import { inBareSystem, layBareSystem, MAY_CHROOT } from "./chroot.ts";

const ARCHITECTURE = process.arch as Architecture;
const PLATFORM_PACKAGE = platformPackage(ARCHITECTURE);
/** Runs a program as another processor does: one that lacks an instruction stops it. */
const OLD_CPU = Bun.which("qemu-x86_64");
const folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-executable-"));
const programs = join(folder, "bin");
const work = join(folder, "work");

beforeAll(async () => {
  mkdirSync(programs);
  mkdirSync(work);
  await compileExecutable(ROOT, join(programs, "sinter"), ARCHITECTURE);
  symlinkSync("sinter", join(programs, "mergekit-yaml"));
  writeTinyModels(work);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program with an empty environment: no PATH, no HOME, nothing of this machine's set-up. */
function start(program: string, args: readonly string[], env: Record<string, string> = {}) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([program, ...args], { cwd: work, env, stdin: "ignore" });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

const sinter = (...args: string[]) => start(join(programs, "sinter"), args);

describe("the single executable", () => {
  test("says its version and what it takes", () => {
    expect(sinter("--version")).toEqual({ code: 0, out: `sinter ${pkg.version}\n`, err: "" });
    expect(sinter("--help").out).toContain("Usage: sinter COMMAND");
    expect(sinter("merge", "--help").out).toContain("Usage: sinter merge [OPTIONS] CONFIG OUT");
  });

  test("holds the families and the addon", () => {
    expect(JSON.parse(sinter("architectures", "qwen2").out).model_types).toContain("qwen2");
    expect(sinter("doctor").out).toMatch(/^Addon +\d+\.\d+\.\d+, \d+ kernels/m);
  });

  test("plans and merges with an empty environment", () => {
    expect(sinter("plan", "linear.yml")).toMatchObject({ code: 0, err: "" });
    const { code, err } = sinter("merge", "linear.yml", "merged", "--quiet");
    expect([code, err]).toEqual([0, ""]);
    expect(readdirSync(join(work, "merged"))).toContain("model.safetensors");
  });

  test.skipIf(OLD_CPU === null || ARCHITECTURE !== "x64")(
    "runs on a processor without AVX, and makes the same bytes",
    () => {
      const { code, err } = start(OLD_CPU as string, [
        ...["-cpu", "Nehalem", join(programs, "sinter")],
        ...["merge", "linear.yml", "of-old-cpu", "--cpu-target", "x86-64-v2", "--quiet"],
      ]);
      expect([code, err]).toEqual([0, ""]);
      const weights = (name: string) => readFileSync(join(work, name, "model.safetensors"));
      expect(weights("of-old-cpu").equals(weights("merged"))).toBe(true);
    },
    PATIENCE,
  );

  test("finds the library for GPUs that lies beside it, whose merges have the CPU's bytes", () => {
    const beside = join(folder, "with-library");
    mkdirSync(beside);
    copyFileSync(join(programs, "sinter"), join(beside, "sinter"));
    expect(sinter("merge", "linear.yml", "without", "--device", "cuda").err).toContain("no library for CUDA devices");
    copyFileSync(HOST_LIBRARY, join(beside, "libsinter_cuda.so"));
    expect(sinter("merge", "linear.yml", "on-cpu", "--device", "cpu").code).toBe(0);
    const weights = (name: string) => readFileSync(join(work, name, "model.safetensors"));
    // By a link from elsewhere, as installed programs are.
    symlinkSync(join(beside, "sinter"), join(folder, "linked"));
    for (const program of [join(beside, "sinter"), join(folder, "linked")]) {
      const doctor = start(program, ["doctor"]).out;
      expect(doctor).toContain(`${join(beside, "libsinter_cuda.so")}, built with CUDA`);
      expect(doctor).toMatch(/^cuda:0 +host memory 0, /m);
      const merged = start(program, ["merge", "linear.yml", "on-device", "--device", "cuda", "--force"]);
      expect([merged.code, merged.err]).toEqual([0, ""]);
      expect(merged.out).toContain(" on cuda:0 (host memory 0)");
      expect(weights("on-device").equals(weights("on-cpu"))).toBe(true);
    }
  });

  test("takes no library for GPUs from a folder that everybody may write to", () => {
    const open = join(folder, "open");
    mkdirSync(open);
    chmodSync(open, 0o1777);
    copyFileSync(HOST_LIBRARY, join(open, "libsinter_cuda.so"));
    // Where the addon is unpacked.
    const { out } = start(join(programs, "sinter"), ["doctor"], { BUN_TMPDIR: open, TMPDIR: open });
    expect(readdirSync(open).some((name) => name.endsWith(".node"))).toBe(true);
    expect(out).toContain(`there is no library for CUDA devices (${join(programs, "libsinter_cuda.so")})`);
  });

  test("is every program by the name that it is called by", () => {
    const { out } = start(join(programs, "mergekit-yaml"), ["--help"]);
    expect(out).toContain("Usage: mergekit-yaml [OPTIONS] CONFIG_FILE OUT_PATH");
    expect(sinter("mergekit-yaml", "--help").out).toBe(out);
  });

  test("reads no bunfig.toml and no .env of the folder it is started in", () => {
    const trap = join(work, "trap");
    mkdirSync(trap);
    writeFileSync(join(trap, "bunfig.toml"), 'preload = ["./trap.ts"]\n');
    writeFileSync(join(trap, "trap.ts"), "console.log('caught');\n");
    writeFileSync(join(trap, ".env"), "SINTER_ADDON=/nowhere\n");
    const { stdout } = Bun.spawnSync([join(programs, "sinter"), "doctor"], { cwd: trap, env: {} });
    expect(stdout.toString()).not.toContain("caught");
    expect(stdout.toString()).toMatch(/^Addon +\d+\.\d+\.\d+/m);
  });
});

describe("the npm packages", () => {
  const modules = join(folder, "node_modules");

  beforeAll(async () => {
    mkdirSync(modules);
    await layPlatformPackage(
      join(modules, PLATFORM_PACKAGE),
      join(programs, "sinter"),
      join(ROOT, ADDON_PLACE),
      ARCHITECTURE,
    );
    await layMainPackage(join(modules, "sinter"), ROOT);
    mkdirSync(join(modules, ".bin"));
    for (const [name, file] of Object.entries(pkg.bin))
      symlinkSync(join("..", "sinter", file), join(modules, ".bin", name));
  }, PATIENCE);

  test("run without Bun, Node or a compiler on the PATH", () => {
    const env = { PATH: onlyShellTools() };
    expect(start(join(modules, ".bin", "sinter"), ["--version"], env)).toEqual({
      code: 0,
      out: `sinter ${pkg.version}\n`,
      err: "",
    });
    expect(start(join(modules, ".bin", "mergekit-yaml"), ["linear.yml", "of-package"], env)).toMatchObject({ code: 0 });
    expect(readFileSync(join(work, "of-package", "model.safetensors"))).toEqual(
      readFileSync(join(work, "merged", "model.safetensors")),
    );
  });

  test("say for which systems they are, and hold what they name", () => {
    const folderOf = join(modules, PLATFORM_PACKAGE);
    const manifest = JSON.parse(readFileSync(join(folderOf, "package.json"), "utf8"));
    expect(manifest).toMatchObject({
      name: PLATFORM_PACKAGE,
      version: pkg.version,
      os: ["linux"],
      cpu: [ARCHITECTURE],
      libc: ["glibc"],
      main: `sinter.linux-${ARCHITECTURE}-gnu.node`,
    });
    for (const file of [...manifest.files, manifest.main]) expect(readdirSync(folderOf)).toContain(file);
    const { optionalDependencies } = JSON.parse(readFileSync(join(modules, "sinter", "package.json"), "utf8"));
    expect(optionalDependencies[PLATFORM_PACKAGE]).toBe(pkg.version);
    expect(Object.keys(optionalDependencies)).toEqual(["sinter-linux-x64-gnu", "sinter-linux-arm64-gnu"]);
  });

  test("name the platform's package where it is missing", () => {
    const elsewhere = mkdtempSync(join(realpathSync(tmpdir()), "sinter-alone-"));
    const alone = join(elsewhere, "sinter", "bin");
    mkdirSync(alone, { recursive: true });
    for (const name of ["sinter", "start.sh"]) copyFileSync(join(modules, "sinter", "bin", name), join(alone, name));
    chmodSync(join(alone, "sinter"), 0o755);
    const { code, err } = start(join(alone, "sinter"), ["--version"], { PATH: onlyShellTools() });
    rmSync(elsewhere, { recursive: true });
    expect([code, err]).toEqual([127, expect.stringContaining(PLATFORM_PACKAGE)]);
  });

  test("find the platform's package where pnpm lays it, too", () => {
    const own = join(folder, "of-pnpm", "node_modules");
    const store = join(own, ".pnpm", "sinter@1", "node_modules");
    mkdirSync(store, { recursive: true });
    mkdirSync(join(own, ".pnpm", "node_modules"));
    cpSync(join(modules, "sinter"), join(store, "sinter"), { recursive: true });
    symlinkSync(join(modules, PLATFORM_PACKAGE), join(own, ".pnpm", "node_modules", PLATFORM_PACKAGE));
    symlinkSync(join(store, "sinter"), join(own, "sinter"));
    const { code, out } = start(join(own, "sinter", "bin", "sinter"), ["--version"], { PATH: onlyShellTools() });
    expect([code, out]).toEqual([0, `sinter ${pkg.version}\n`]);
  });

  test("are a library with types", () => {
    writeFileSync(
      join(folder, "use.ts"),
      `import { merge, type MergePlan, plan } from "sinter";
const planned: MergePlan = await plan("linear.yml");
const { folder } = await merge(planned, "of-library");
console.log(planned.totals.tensors, folder);
`,
    );
    const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, join(folder, "use.ts")], { cwd: work });
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    expect(stdout.toString()).toBe(`21 ${join(work, "of-library")}\n`);
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    // As bundlers and Bun resolve modules, and as Node does.
    for (const [module, moduleResolution] of [
      ["ESNext", "bundler"],
      ["NodeNext", "NodeNext"],
    ]) {
      const compilerOptions = { ...CONSUMER, module, moduleResolution };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["use.ts"] }));
      writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
      const checked = Bun.spawnSync([process.execPath, tsc, "-p", folder]).stdout.toString();
      expect([module, checked.includes("use.ts("), checked.includes("node_modules/sinter")]).toEqual([
        module,
        false,
        false,
      ]);
    }
  });
});

describe.skipIf(!MAY_CHROOT)("on a system with a C library and a shell alone, without a network", () => {
  const system = join(folder, "system");
  const merges = (program: string, out: string) => {
    const line = `cd /work && ${program} merge linear.yml ${out} -q && ${program} verify ${out} -q && ${program} doctor --json`;
    const { code, out: printed, err } = inBareSystem(system, line);
    expect([code, err]).toEqual([0, ""]);
    expect(JSON.parse(printed).bun).toBe(Bun.version);
    expect(readFileSync(join(system, "work", out, "model.safetensors"))).toEqual(
      readFileSync(join(work, "merged", "model.safetensors")),
    );
  };

  beforeAll(() => {
    layBareSystem(system, [join(programs, "sinter"), join(ROOT, ADDON_PLACE)]);
    mkdirSync(join(system, "work"));
    writeTinyModels(join(system, "work"));
  });

  test(
    "the executable merges",
    () => {
      copyFileSync(join(programs, "sinter"), join(system, "bin", "sinter"));
      merges("/bin/sinter", "by-executable");
    },
    PATIENCE,
  );

  test(
    "so do the npm packages",
    () => {
      cpSync(join(folder, "node_modules"), join(system, "usr", "node_modules"), {
        recursive: true,
        verbatimSymlinks: true,
      });
      merges("/usr/node_modules/.bin/sinter", "by-package");
    },
    PATIENCE,
  );

  // Bun unpacks the addon there; it is loaded from memory where that is not possible.
  test.each(["noexec", "ro"])(
    "the executable merges where the folder for temporary files is mounted %s",
    (how) => {
      const line = `cd /work && /bin/sinter merge linear.yml tmp-${how} -q && /bin/sinter doctor`;
      const { code, out, err } = inBareSystem(system, line, how);
      expect([code, err]).toEqual([0, ""]);
      expect(out).toMatch(/^Addon +\d+\.\d+\.\d+/m);
      expect(readFileSync(join(system, "work", `tmp-${how}`, "model.safetensors"))).toEqual(
        readFileSync(join(work, "merged", "model.safetensors")),
      );
    },
    PATIENCE,
  );

  test("there is nothing else to use", () => {
    const { out } = inBareSystem(system, "command -v node bun gcc cc cmake python3; echo none");
    expect(out).toBe("none\n");
  });
});

/** A consumer's own, strict settings. */
const CONSUMER = { strict: true, noEmit: true, target: "ESNext", types: [] };

/** A folder with what the start scripts call, and nothing else. */
function onlyShellTools(): string {
  const tools = join(folder, "tools");
  if (!readdirSync(folder).includes("tools")) {
    mkdirSync(tools);
    for (const name of ["readlink", "uname", "tr"]) {
      const path = Bun.which(name);
      if (path !== null) symlinkSync(path, join(tools, name));
    }
  }
  return tools;
}
