import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { Workplace } from "../end-to-end/programs.ts";
import { recorded, writeRecorded } from "../forward/tiny-decoder.ts";
import { writeTinyTokenizer } from "../forward/tiny-tokenizer.ts";

let place: Workplace;

beforeAll(() => {
  place = new Workplace();
  for (const [folder, name] of [
    ["a", "qwen2"],
    ["b", "qwen2"],
    ["bare", "llama"],
  ] as const) {
    writeRecorded(place.path(folder), recorded(name));
    if (folder !== "bare") writeTinyTokenizer(place.path(folder));
  }
  writeFileSync(place.path("text.txt"), "the quick brown fox jumps over the lazy dog. ".repeat(5));
  writeFileSync(place.path("empty.txt"), " \n");
});

afterAll(() => place.remove());

const evaluate = (...args: string[]) => place.run("sinter", ["eval", "perplexity", ...args]);

describe("sinter eval perplexity", () => {
  test("prints perplexity, nats a token, bits a byte and what was scored", async () => {
    const { exitCode, stdout } = await evaluate("a", "--text", "text.txt");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^a: perplexity \d+\.\d{4} \(\d+\.\d{4} nats a token, \d+\.\d{4} bits a byte\)\n/);
    // Windows as long as the 64 positions that the model is for.
    expect(stdout).toContain("221 of 225 tokens scored, windows of 64, stride 64");
  });

  test("--json gives the same as numbers", async () => {
    const { stdout } = await evaluate("a", "--text", "text.txt", "--window", "32", "--stride", "16", "--json");
    const found = JSON.parse(stdout);
    expect(found).toMatchObject({ model: "a", tokens: 225, scored: 224, window: 32, stride: 16 });
    expect(Math.log(found.perplexity)).toBeCloseTo(found.loss, 10);
    // A token is a byte here.
    expect(found.bits_per_byte).toBeCloseTo(found.loss / Math.LN2, 10);
  });

  test("--max-tokens takes the beginning of the text", async () => {
    const { stdout } = await evaluate("a", "--text", "text.txt", "--max-tokens", "20", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ tokens: 20, scored: 19 });
  });

  test("the number of threads does not change the result", async () => {
    const measure = async (threads: string) => {
      const { stdout } = await evaluate("a", "--text", "text.txt", "--json", "--threads", threads);
      return JSON.parse(stdout).loss;
    };
    expect(await measure("1")).toBe(await measure("3"));
  });

  test("a longer window than the model is for is a warning", async () => {
    const { exitCode, stderr } = await evaluate("a", "--text", "text.txt", "--window", "65");
    expect(exitCode).toBe(0);
    expect(stderr).toContain("a window of 65 tokens is longer than the 64 positions that the model is for");
  });

  test("says what is wrong before any work, all at once", async () => {
    const { exitCode, stdout, stderr } = await evaluate(
      "bare",
      "--text",
      "empty.txt",
      "--window",
      "8",
      "--stride",
      "9",
    );
    expect(exitCode).toBe(1);
    expect(stdout).toBe("");
    for (const text of ["the text is empty", "no tokenizer", "would leave tokens out"]) expect(stderr).toContain(text);
  });

  test("a command line that asks for nothing known is refused", async () => {
    expect((await evaluate("a")).stderr).toContain("Missing option --text");
    const { exitCode, stderr } = await place.run("sinter", ["eval", "speed", "a"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("No such measure: speed");
    expect((await evaluate("a", "--text", "nowhere.txt")).stderr).toContain("nowhere.txt");
  });
});

describe("sinter merge --check", () => {
  const recipe = (weight: number, other = "./b") =>
    place.config(
      `merge_method: linear\nparameters: {normalize: false}\nmodels:\n` +
        `  - {model: ./a, parameters: {weight: ${weight}}}\n  - {model: ${other}, parameters: {weight: ${weight}}}\n`,
    );

  test("prints the perplexity of the result beside its parents'", async () => {
    const { exitCode, stderr, stdout } = await place.merge(recipe(0.5), "good", "--check");
    expect(exitCode).toBe(0);
    expect(stdout).toContain("good: ");
    const rows = [...stderr.matchAll(/^ {2}(result|parent) {2}(\d+\.\d+) {2}(\S+)$/gm)];
    expect(rows.map(([, kind, , name]) => `${kind} ${name}`)).toEqual(["result good", "parent ./a", "parent ./b"]);
    // The average of equals is what they are.
    expect(rows[0]?.[2]).toBe(rows[1]?.[2] as string);
  });

  test("a result that is far worse than its parents is a warning and an exit code of its own", async () => {
    const { exitCode, stderr } = await place.merge(recipe(40), "broken", "--check");
    expect(exitCode).toBe(3);
    expect(stderr).toContain("the merge looks broken");
    expect(place.list("broken")).toContain("model.safetensors");
  });

  test("--json has the check in the summary", async () => {
    const { stdout, stderr } = await place.merge(recipe(0.5), "json", "--check", "--json", "-q");
    const { check } = JSON.parse(stdout);
    expect(check.map(({ role, name }: { role: string; name: string }) => `${role} ${name}`)).toEqual([
      "result json",
      "parent ./a",
      "parent ./b",
    ]);
    expect(check[0].perplexity).toBeGreaterThan(1);
    expect(stderr).toBe("");
  });

  test("a merge that cannot be checked is refused before any work", async () => {
    const { exitCode, stderr } = await place.merge(
      place.config("merge_method: passthrough\nmodels: [{model: ./bare}]\n"),
      "unchecked",
      "--check",
    );
    expect(exitCode).toBe(1);
    expect(stderr).toContain("--check: the model has no tokenizer");
    expect(place.list("unchecked")).toBeUndefined();
  });

  test("a parent without a tokenizer is run with that of the others", async () => {
    rmSync(place.path("b", "tokenizer.json"));
    const { exitCode, stderr } = await place.merge(recipe(0.5), "borrowed", "--check");
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/parent {2}\d+\.\d+ {2}\.\/b/);
  });
});
