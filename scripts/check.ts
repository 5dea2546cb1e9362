/**
 * `bun scripts/check.ts [--write] [types] [site-types] [biome] [clang-format]`: static checks, all of them unless some are named.
 * With `--write` the formatters rewrite files. Exit code 1 where a check fails; a missing clang-format is only said.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { installDependencies } from "./dependencies.ts";
import { ROOT } from "./paths.ts";

const MODULES = join(ROOT, "node_modules");

const CHECKS: Record<string, (write: boolean) => string[] | undefined> = {
  types: () => typesOf("."),
  // By itself, because browsers have other types, and so has what is highlighted with.
  "site-types": () => typesOf("scripts/site"),
  biome: (write) => [
    process.execPath,
    join(MODULES, "@biomejs", "biome", "bin", "biome"),
    "check",
    ...(write ? ["--write"] : ["--error-on-warnings"]),
  ],
  "clang-format": (write) => {
    const program = Bun.which("clang-format");
    if (program === null) return undefined;
    return [program, ...(write ? ["-i"] : ["--dry-run", "--Werror"]), ...nativeSources()];
  },
};

function typesOf(project: string): string[] {
  return [process.execPath, join(MODULES, "typescript", "bin", "tsc"), "--noEmit", "-p", project];
}

function nativeSources(): string[] {
  return ["native", join("test", "fuzz", "native")]
    .flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /\.(h|cc|cu)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

const args = process.argv.slice(2);
const write = args.includes("--write");
const named = args.filter((arg) => arg !== "--write");
const unknown = named.filter((name) => !Object.hasOwn(CHECKS, name));
if (unknown.length > 0) {
  console.error(`unknown check ${unknown.join(", ")}; there are ${Object.keys(CHECKS).join(", ")}`);
  process.exit(2);
}

await installDependencies();
let failed = 0;
for (const name of named.length > 0 ? named : Object.keys(CHECKS)) {
  const command = CHECKS[name]?.(write);
  if (command === undefined) {
    console.log(`${name}: skipped, not installed (sudo apt-get install -y ${name})`);
    continue;
  }
  const code = await Bun.spawn(command, { cwd: ROOT, stdout: "inherit", stderr: "inherit" }).exited;
  console.log(`${name}: ${code === 0 ? "ok" : `failed (exit code ${code})`}`);
  if (code !== 0) failed++;
}
process.exit(failed > 0 ? 1 : 0);
