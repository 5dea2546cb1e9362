import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { completionScript } from "../../src/commands/completion-scripts.ts";
import { SHELLS } from "../../src/commands/completions.ts";
import { commandReference } from "../../src/commands/reference.ts";
import { manualPages } from "../manual.ts";
import { ROOT } from "../paths.ts";
import { cudaLibrary } from "./cuda.ts";
import { type Architecture, CUDA_LIBRARY } from "./paths.ts";
import { run } from "./run.ts";
import { copyInto, copyProgram } from "./stage.ts";

/** Where each shell looks for completions under a prefix such as /usr/local. */
const COMPLETIONS = {
  bash: "share/bash-completion/completions/sinter",
  zsh: "share/zsh/site-functions/_sinter",
  fish: "share/fish/vendor_completions.d/sinter.fish",
};

/** Fills a folder to be unpacked into a prefix: bin/ with one executable under all names, manual pages, completions, documents. */
export async function layPrefix(folder: string, executable: string, architecture: Architecture): Promise<void> {
  copyProgram(executable, join(folder, "bin", "sinter"));
  const cuda = cudaLibrary(architecture);
  if (cuda !== undefined) copyProgram(cuda, join(folder, "bin", CUDA_LIBRARY));
  const others = Object.keys(pkg.bin).filter((program) => program !== "sinter");
  for (const program of others) symlinkSync("sinter", join(folder, "bin", program));

  const programs = await commandReference(pkg.description);
  for (const shell of SHELLS) write(join(folder, COMPLETIONS[shell]), completionScript(shell, programs));
  // bash-completion loads a file by the name of the program.
  for (const program of others) symlinkSync("sinter", join(folder, dirname(COMPLETIONS.bash), program));
  for (const page of manualPages(programs)) write(join(folder, "share", "man", "man1", page.file), page.text);
  const documents = join(folder, "share", "doc", "sinter");
  for (const one of ["LICENSE", "README.md", "CHANGELOG.md", "AGENTS.md", "llms.txt", "docs", "examples", "schemas"])
    copyInto(documents, one);
  await run([process.execPath, join(ROOT, "scripts", "site.ts"), join(documents, "html")], ROOT);
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
