/** Every line of docs/install.md, and of the first step of docs/from-mergekit.md, with the archives of a release, in folders of the test's own. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { ROOT } from "../../scripts/paths.ts";
import { packFolder } from "../../scripts/release/archive.ts";
import { compileExecutable } from "../../scripts/release/executable.ts";
import { layPrefix } from "../../scripts/release/folder.ts";
import { layMainPackage, layPlatformPackage, packPackage } from "../../scripts/release/packages.ts";
import { type Architecture, platformPackage } from "../../scripts/release/paths.ts";
import { ADDON_PLACE } from "../../scripts/release/stage.ts";
import { writeTinyModels } from "../commands/tiny-models.ts";
import { blocks } from "../docs/pages.ts";
import { PATIENCE } from "../support/patience.ts";

const ADDON_BUILT = existsSync(join(ROOT, ADDON_PLACE));
const ARCHITECTURE = process.arch as Architecture;
const folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-install-"));
/** Where the archives lie, and where lines are typed. */
const work = join(folder, "work");
const local = join(folder, "local");
const npm = join(folder, "npm");
const home = join(folder, "home");

beforeAll(async () => {
  if (!ADDON_BUILT) return;
  for (const one of [work, local, npm, join(home, ".zfunc"), join(home, ".config", "fish", "completions")])
    mkdirSync(one, { recursive: true });
  const stage = join(folder, "stage");
  const executable = join(stage, "sinter");
  const prefix = `sinter-${pkg.version}-linux-${ARCHITECTURE}`;
  const platform = platformPackage(ARCHITECTURE);
  await compileExecutable(ROOT, executable, ARCHITECTURE);
  await layPrefix(join(stage, prefix), executable, ARCHITECTURE);
  await layPlatformPackage(join(stage, platform), executable, join(ROOT, ADDON_PLACE), ARCHITECTURE);
  await layMainPackage(join(stage, "main"), ROOT);
  const archives = [
    await packFolder(stage, prefix, join(work, `${prefix}.tar.gz`)),
    await packPackage(join(stage, platform), platform, work),
    await packPackage(join(stage, "main"), "sinter", work),
  ];
  const sum = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
  writeFileSync(join(work, "SHA256SUMS"), archives.map((file) => `${sum(file)}  ${basename(file)}\n`).join(""));
  rmSync(stage, { recursive: true });
}, PATIENCE);

afterAll(() => rmSync(folder, { recursive: true, force: true }), PATIENCE);

/** No registry is asked: an archive that named anything else that is needed would not install. */
const OFFLINE = { npm_config_offline: "true", npm_config_audit: "false", npm_config_fund: "false" };

function run(line: string) {
  const env = {
    PATH: [join(npm, "bin"), join(local, "bin"), process.env.PATH].join(":"),
    HOME: home,
    MANPATH: join(local, "share", "man"),
    MANPAGER: "cat",
    npm_config_prefix: npm,
    ...OFFLINE,
  };
  const { exitCode, stdout, stderr } = Bun.spawnSync(["bash", "-c", line], { cwd: work, env, stdin: "ignore" });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

const lines = [...blocks("docs/from-mergekit.md", "sh").slice(0, 1), ...blocks("docs/install.md", "sh")].flatMap(
  (block) =>
    block
      .split("\n")
      .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
      .filter((line) => line !== ""),
);

/** The program that a line needs and a machine may lack. */
const neededBy = (line: string) => /^(npm|man) /.exec(line)?.[1];

describe.skipIf(!ADDON_BUILT)("docs/install.md", () => {
  test("has the archives of this version", () => {
    const versions = lines.flatMap((line) => line.match(/\d+\.\d+\.\d+/g) ?? []);
    expect(versions.length).toBeGreaterThan(3);
    expect(new Set(versions)).toEqual(new Set([pkg.version]));
  });

  for (const line of lines) {
    const needed = neededBy(line);
    test.skipIf(needed !== undefined && Bun.which(needed) === null)(
      line,
      () => {
        const here = line
          .replace("sudo ", "")
          .replace("/usr/local", local)
          .replaceAll("linux-x64", `linux-${ARCHITECTURE}`);
        const { code, out, err } = run(here);
        expect([here, code, code === 0 ? "" : out + err]).toEqual([here, 0, ""]);
        if (line.endsWith("--version")) expect(out).toBe(`sinter ${pkg.version}\n`);
        if (needed === "man") expect(out).toContain("sinter merge [OPTIONS] CONFIG OUT");
      },
      PATIENCE,
    );
  }

  test.skipIf(Bun.which("npm") === null)("what npm installed merges, under mergekit's names, too", () => {
    writeTinyModels(work);
    const { code, err } = run(`${npm}/bin/sinter merge linear.yml one -q && ${npm}/bin/mergekit-yaml linear.yml two`);
    expect([code, err]).toEqual([0, expect.any(String)]);
    const weights = (name: string) => readFileSync(join(work, name, "model.safetensors"));
    expect(weights("two").equals(weights("one"))).toBe(true);
    for (const name of Object.keys(pkg.bin)) expect([name, existsSync(join(npm, "bin", name))]).toEqual([name, true]);
  });
});
