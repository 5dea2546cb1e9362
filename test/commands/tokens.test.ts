import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/paths.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sinter-tokens-"));
  write("left", ["a", "b", "c", "<s>"], { eos_token: "<s>" });
  write("right", ["b", "a", "d", "<s>"], { eos_token: "a", chat_template: "{{ messages }}" });
  mkdirSync(join(folder, "none"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, tokens: string[], config: object): void {
  mkdirSync(join(folder, name));
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const added = [{ id: 3, content: "<s>", special: name === "left" }];
  const model = { type: "WordLevel", unk_token: "a", vocab };
  const tokenizer = { added_tokens: added, pre_tokenizer: { type: "WhitespaceSplit" }, model };
  writeFileSync(join(folder, name, "tokenizer.json"), JSON.stringify(tokenizer));
  writeFileSync(join(folder, name, "tokenizer_config.json"), JSON.stringify(config));
}

async function run(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const child = Bun.spawn([join(ROOT, "bin", "sinter"), "tokens", ...args], {
    cwd: folder,
    env: { ...process.env, SINTER_BUN: process.execPath, NO_COLOR: "1", HF_HUB_OFFLINE: "1" },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { exitCode: await child.exited, stdout, stderr };
}

describe("sinter tokens diff", () => {
  test("lists what is shared, moved, only on one side, and special", async () => {
    const { exitCode, stdout } = await run("diff", "./left", "./right", "--json", "--text", "b a");
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      left: { name: "./left", kind: "WordLevel", tokens: 4, added: 1 },
      shared: 3,
      sameId: 1,
      moved: [
        { token: "a", left: 0, right: 1 },
        { token: "b", left: 1, right: 0 },
      ],
      onlyLeft: [{ token: "c", id: 2 }],
      onlyRight: [{ token: "d", id: 2 }],
      roles: [{ role: "eos_token", left: "<s>", right: "a" }],
      special: [{ token: "<s>", left: true, right: false }],
      chatTemplate: "only right",
      text: { left: { ids: [1, 0] }, right: { ids: [0, 1] } },
    });
  });

  test("prints the same as tables", async () => {
    const { stdout } = await run("diff", "./left", "./right");
    for (const line of [/shared +3/, /another id +2/, /chat template +only right/, /"c" +2/, /eos_token +"<s>" +"a"/]) {
      expect(stdout).toMatch(line);
    }
  });

  test("names a folder without a tokenizer", async () => {
    const { exitCode, stderr } = await run("diff", "./left", "./none");
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/no tokenizer.*none/s)]);
  });
});

test("sinter tokens without a command, or with another, says which there are", async () => {
  for (const args of [[], ["dif", "./left", "./right"]]) {
    const { exitCode, stderr } = await run(...args);
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining("tokens diff")]);
  }
});
