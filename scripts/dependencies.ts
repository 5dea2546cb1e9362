import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./paths.ts";
import { SetupError } from "./setup-error.ts";

const STAMP = join(ROOT, "node_modules", ".sinter-installed");

/**
 * Installs the locked dependencies where node_modules is missing or was installed from another lockfile.
 * @throws SetupError with the installer's own words.
 */
export async function installDependencies(): Promise<void> {
  const wanted = dependencyHash();
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === wanted) return;
  console.error("Installing dependencies …");
  const child = Bun.spawn([process.execPath, "install", "--frozen-lockfile"], {
    cwd: ROOT,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new SetupError(`${out}${err}bun install failed with exit code ${code}`);
  writeFileSync(STAMP, wanted);
}

/** Changes with the lockfile and with the dependencies that package.json asks for, not with the rest of it. */
function dependencyHash(): string {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return createHash("sha256")
    .update(readFileSync(join(ROOT, "bun.lock")))
    .update(JSON.stringify([dependencies, devDependencies]))
    .digest("hex");
}
