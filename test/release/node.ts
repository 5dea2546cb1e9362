/** A Node that the library is promised to work in: the environment variable SINTER_NODE, else the one on the PATH. */
export const NODE = [process.env.SINTER_NODE, Bun.which("node")].find((path) => path != null && majorOf(path) >= 22);

function majorOf(path: string): number {
  const { stdout } = Bun.spawnSync([path, "--version"]);
  return Number(/^v(\d+)/.exec(stdout.toString())?.[1] ?? 0);
}
