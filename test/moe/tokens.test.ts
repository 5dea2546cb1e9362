import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SinterError } from "../../src/errors.ts";
import { encodePrompts } from "../../src/moe/tokens.ts";
import { tinyModel } from "../plan/models.ts";
import { WORDS, writeWordTokenizer } from "./word-tokenizer.ts";

const folder = mkdtempSync(join(tmpdir(), "sinter-tokens-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
});

const at = { file: "moe.yml", line: 1, column: 13 };

async function encode(prompts: string[], rows = WORDS.length): Promise<number[][]> {
  const model = tinyModel("base", { dir: folder, sideFiles: readdirSync(folder) });
  const encoded = await encodePrompts({ model, architecture: undefined as never, at }, prompts, rows);
  return encoded.map((ids) => [...ids]);
}

async function problem(prompts: string[], rows?: number) {
  try {
    await encode(prompts, rows);
  } catch (error) {
    if (error instanceof SinterError) return error.problems[0];
    throw error;
  }
  throw new Error("it did not fail");
}

describe("prompts", () => {
  test("begin with the token that begins a text, and have no other special ones", async () => {
    writeWordTokenizer(folder);
    expect(await encode(["numbers and sums", "stories"])).toEqual([
      [1, 2, 7, 6],
      [1, 3],
    ]);
  });

  test("find that token written as an object, or beside the tokenizer", async () => {
    writeWordTokenizer(folder, { content: "<s>", special: true });
    expect(await encode(["all"])).toEqual([[1, 4]]);
    writeWordTokenizer(folder, null);
    expect(await encode(["all"])).toEqual([[4]]);
    writeFileSync(join(folder, "special_tokens_map.json"), JSON.stringify({ bos_token: "<s>" }));
    expect(await encode(["all"])).toEqual([[1, 4]]);
  });

  test("without tokens are refused", async () => {
    writeWordTokenizer(folder, null);
    expect(await problem(["all", ""])).toMatchObject({ code: "prompt-tokens", model: "base", at });
  });

  test("with tokens that the embedding has no rows for are refused", async () => {
    writeWordTokenizer(folder);
    expect((await problem(["dragons"], 5))?.message).toBe(
      'the prompt "dragons" has the token id 5, and the embedding has 5 rows',
    );
  });

  test("need a tokenizer that can be read", async () => {
    expect((await problem(["all"]))?.message).toContain("the model has no tokenizer");
    writeFileSync(join(folder, "tokenizer.json"), "{");
    expect((await problem(["all"]))?.code).toBe("bad-tokenizer");
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify({ model: { type: "Unheard" } }));
    expect((await problem(["all"]))?.message).toContain("tokenizer.json does not read");
  });
});
