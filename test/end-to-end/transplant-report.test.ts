import { afterAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { normText } from "../../src/report/figures.ts";
import { elements, parseMarkup } from "../report/well-formed.ts";
import { readSafetensors } from "../support/safetensors.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";
import { valuesOf } from "./values.ts";

const work = new Workplace();
afterAll(() => work.remove());

const letters = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `w${from + i}`);
const ORIGINAL = [...letters(0, 32), "</s>"];
/** Five tokens more, and 30 in another place. */
const DONOR = [...letters(2, 37).toReversed(), "<|end|>"];
for (const [i, [name, tokens]] of [["original", ORIGINAL] as const, ["donor", DONOR] as const].entries()) {
  writeTinyModel(work.path(name), { vocab: tokens.length + 2, dtype: "F32", seed: 1 + i });
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const tokenizer = { version: "1.0", added_tokens: [], model: { type: "BPE", vocab, merges: [] } };
  writeFileSync(work.path(name, "tokenizer.json"), JSON.stringify(tokenizer));
  const config = { tokenizer_class: "Qwen2Tokenizer", eos_token: tokens.at(-1) };
  writeFileSync(work.path(name, "tokenizer_config.json"), JSON.stringify(config));
}

/** The rows of a table, without its head. */
function rows(text: string, caption: string): string[][] {
  const table = elements(parseMarkup(text), "table").find((one) => elements(one, "caption")[0]?.text === caption);
  return elements(table as never, "tr")
    .slice(1)
    .map((row) => row.children.map(({ text: cell }) => cell));
}

/** Root of the mean square of the norms of rows. */
function norm(folder: string, ids: readonly number[]): string {
  const values = valuesOf(
    readSafetensors(work.path(folder, "model.safetensors")).tensors.get("model.embed_tokens.weight"),
  );
  const squares = ids.flatMap((id) => [...values.slice(16 * id, 16 * id + 16)]).reduce((sum, x) => sum + x * x, 0);
  return normText(Math.sqrt(squares / ids.length));
}

test("the page says where rows come from, which tokens were approximated, and how long rows are; later as at once", async () => {
  const args = ["tokens", "transplant", "original", "donor", "out", "-k", "4", "--report", "at-once.html", "-q"];
  expect(await work.run("sinter", args)).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  const page = readFileSync(work.path("at-once.html"), "utf8");
  const matrix = "model.embed_tokens.weight";
  expect(rows(page, `Where rows come from: ${matrix}`)).toEqual([
    ["the same token", "31"],
    ["by its byte", "0"],
    ["by a prefix", "0"],
    ["approximated", "5"],
    ["zeros", "0"],
  ]);
  const missing = DONOR.flatMap((token, id) => (id < DONOR.length - 1 && !ORIGINAL.includes(token) ? [id] : []));
  const others = DONOR.map((_, id) => id).filter((id) => !missing.includes(id));
  expect(rows(page, `Lengths of rows: ${matrix}`)).toEqual([
    ["from original", norm("out", others)],
    ["approximated", norm("out", missing)],
    ["donor, same tokens", norm("donor", missing)],
  ]);
  expect(rows(page, "Lengths of rows")).toEqual([[matrix, "31", "the same"]]);
  const tokens = elements(parseMarkup(page), "pre").at(-1)?.text.split("\n");
  expect(tokens).toEqual(missing.map((id) => `${id}  ${JSON.stringify(DONOR[id])}`));
  expect(page).toMatch(/\d+ tensors: every element is that of original\./);

  expect(await work.run("sinter", ["report", "out", "-q"])).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  const withoutSpeed = (text: string) =>
    text.replace(/<div><dt>Time<.*<\/dl>/, "</dl>").replace(/ Speed is not recorded[^<]*/, "");
  expect(withoutSpeed(readFileSync(work.path("out-report.html"), "utf8"))).toBe(withoutSpeed(page));
});

test("a folder whose models are others by now is refused", async () => {
  const file = work.path("out", "sinter_manifest.json");
  writeFileSync(file, readFileSync(file, "utf8").replace(/"plan": "[^"]*"/, '"plan": "other"'));
  const { exitCode, stderr } = await work.run("sinter", ["report", "out", "-q"]);
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining("gives another plan by now")]);
});
