import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BIN = join(import.meta.dir, "..", "..", "bin");

export interface Finished {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** A folder of models and configurations in which the programs run, as a user has it. */
export class Workplace {
  readonly folder = mkdtempSync(join(tmpdir(), "sinter-end-to-end-"));
  #configs = 0;

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** Writes a configuration. @returns its name. */
  config(text: string): string {
    const name = `config-${++this.#configs}.yml`;
    writeFileSync(this.path(name), text);
    return name;
  }

  /** Starts a program of bin/ here and waits for its end. */
  async run(
    program:
      | "sinter"
      | "mergekit-yaml"
      | "mergekit-moe"
      | "mergekit-extract-lora"
      | "mergekit-tokensurgeon"
      | "mergekit-pytorch"
      | "mergekit-multi",
    args: readonly string[],
    env: Record<string, string> = {},
  ): Promise<Finished> {
    const child = Bun.spawn([join(BIN, program), ...args], {
      cwd: this.folder,
      env: { ...process.env, SINTER_BUN: process.execPath, NO_COLOR: "1", ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { exitCode: await child.exited, stdout, stderr };
  }

  async merge(config: string, out: string, ...options: string[]): Promise<Finished> {
    return await this.run("sinter", ["merge", config, out, ...options]);
  }

  /** What is in a folder; undefined where there is none. */
  list(folder: string): string[] | undefined {
    return existsSync(this.path(folder)) ? readdirSync(this.path(folder)).sort() : undefined;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
