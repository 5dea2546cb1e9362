/** A system with a C library, a shell and what the start scripts call, and nothing else: no compiler, no Node, no network. */
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";

const TOOLS = ["readlink", "tr", "uname"];
const SHELL = Bun.which("dash");
const LAUNCH = ["unshare", "--net", "--mount", "--pid", "--fork", "sh", "-c"];

/** Whether this user may make such systems here. */
export const MAY_CHROOT =
  SHELL !== null &&
  Bun.which("unshare") !== null &&
  Bun.spawnSync([...LAUNCH, "mount -t proc proc /proc"]).exitCode === 0;

/** Puts such a system into an empty folder. @param files programs and libraries whose own libraries are wanted, too. */
export function layBareSystem(root: string, files: readonly string[]): void {
  for (const folder of ["bin", "dev", "proc", "tmp", "usr"]) mkdirSync(join(root, folder), { recursive: true });
  const programs = TOOLS.map((name) => Bun.which(name) ?? "");
  const { stdout } = Bun.spawnSync(["ldd", ...files, SHELL as string, ...programs]);
  for (const [library] of stdout.toString().matchAll(/\/\S*\.so\S*/g)) copy(library, join(root, library));
  copy(SHELL as string, join(root, "bin", "sh"));
  for (const [i, name] of TOOLS.entries()) copy(programs[i] as string, join(root, "bin", name));
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}

/**
 * Runs a line of the shell in it, as if nothing else were there.
 * @param temporary how its folder for temporary files is mounted: `noexec` or `ro`; as it is, unless given.
 */
export function inBareSystem(root: string, line: string, temporary?: string) {
  const mounts = temporary === undefined ? "" : `mount -t tmpfs -o ${temporary} tmpfs "$0/tmp" && `;
  const script = `${mounts}mount -t proc proc "$0/proc" && exec chroot "$0" /bin/sh -c "$1"`;
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  const { exitCode, stdout, stderr } = Bun.spawnSync([...LAUNCH, script, root, line], { env, stdin: "ignore" });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}
