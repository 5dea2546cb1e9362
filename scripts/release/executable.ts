import { join } from "node:path";
import { STAGE } from "./paths.ts";
import { run } from "./run.ts";
import { TREE } from "./stage.ts";

/** The single executable that `compileExecutable` writes. */
export const EXECUTABLE = join(STAGE, "sinter");

/**
 * Compiles the staged tree into one file: Bun, all modules as bytecode, the addon and every family. White space goes,
 * because comments in it name folders of this machine. It reads no bunfig.toml, .env or package.json of the folder that it
 * is started in, which may have come with a downloaded model.
 */
export async function compileExecutable(): Promise<void> {
  const closed = ["dotenv", "bunfig"].map((name) => `--no-compile-autoload-${name}`);
  await run(
    [
      process.execPath,
      "build",
      "--compile",
      "--bytecode",
      "--format=esm",
      "--minify-whitespace",
      "--minify-syntax",
    ].concat([...closed, "src/executable.ts", "--outfile", EXECUTABLE]),
    TREE,
  );
}
