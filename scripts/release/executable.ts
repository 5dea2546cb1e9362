import type { Architecture } from "./paths.ts";
import { run } from "./run.ts";

/**
 * Compiles a tree of sources, in which the addon is built, into one file: Bun, all modules as bytecode, the addon and every
 * family. White space goes, because comments in it name folders of this machine. The executable reads no bunfig.toml or
 * .env of the folder that it is started in, which may have come with a downloaded model.
 * @param architecture another than this machine's: Bun fetches its own executable for it, of the same version.
 */
export async function compileExecutable(tree: string, file: string, architecture: Architecture): Promise<void> {
  const shape = ["--compile", "--bytecode", "--format=esm", "--minify-whitespace", "--minify-syntax"];
  const closed = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
  const target = architecture === process.arch ? [] : [`--target=bun-linux-${architecture}`];
  await run([process.execPath, "build", ...shape, ...closed, ...target, "src/executable.ts", "--outfile", file], tree);
}
