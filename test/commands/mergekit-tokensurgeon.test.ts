import { expect, test } from "bun:test";
import { spec } from "../../src/commands/compat/mergekit-tokensurgeon.ts";
import { renderHelp } from "../../src/commands/help.ts";
import { parseCommandLine } from "../../src/commands/parse.ts";
import { transplantOptions } from "../../src/commands/transplant-options.ts";
import { APPROXIMATION_METHODS, DEFAULT_TRANSPLANT } from "../../src/transplant/methods.ts";

function options(...args: string[]) {
  const parsed = parseCommandLine(spec, [...args, "model", "donor", "out"]);
  if (parsed.kind === "help") throw new Error("asked for help");
  expect(parsed.positionals).toEqual(["model", "donor", "out"]);
  return transplantOptions(parsed.options, parsed.options.randomSeed);
}

/** Every option of mergekit 0.1.4's mergekit-tokensurgeon that is not one of all its programs: its forms, and what they mean. */
const FORMS: [string[], Partial<ReturnType<typeof options>>][] = [
  [["--k", "8"], { k: 8 }],
  [["-k", "8"], { k: 8 }],
  [["-k8"], { k: 8 }],
  [["--cosine-similarity"], { cosine: true }],
  [["-c"], { cosine: true }],
  [["-c", "--no-cosine-similarity"], { cosine: false }],
  [["-c", "-nc"], { cosine: false }],
  ...APPROXIMATION_METHODS.map((method): (typeof FORMS)[number] => [["--approximation-method", method], { method }]),
  [["-a", "stb"], { method: "stb" }],
  [["--weight-scheme", "barycentric"], { weightScheme: "barycentric" }],
  [["-w", "least_squares"], { weightScheme: "least_squares" }],
  [["--subword-method", "sum"], { subwordMethod: "sum" }],
  [["-s", "first_last"], { subwordMethod: "first_last" }],
  [["--batch-size", "64"], { batch: 64 }],
  [["--batch-size", "-1"], { batch: 0 }],
  [["--prefix-match", "yes"], { prefixMatch: "yes" }],
  [["-pm", "lm_head"], { prefixMatch: "lm_head" }],
  [["-pm=embed"], { prefixMatch: "embed" }],
  [["--byte-match", "no"], { byteMatch: "no" }],
  [["-bm", "yes"], { byteMatch: "yes" }],
  [["--magikarp"], { magikarp: true }],
  [["--magikarp", "--no-magikarp"], { magikarp: false }],
  [["--new-vocab-noise", "0.01"], { noise: 0.01 }],
  [["-nvn", "1e-3"], { noise: 0.001 }],
  [["--new-vocab-scale", "0.5"], { scale: 0.5 }],
  [["-nvs", "-2"], { scale: -2 }],
  [["--random-seed", "42", "--trust-remote-code", "--no-copy-tokenizer", "-v"], { seed: 42 }],
];

test.each(FORMS)("%j", (args: string[], expected: object) => {
  expect(options(...args)).toEqual({ ...DEFAULT_TRANSPLANT, ...expected });
});

test("help shows every form", () => {
  const help = renderHelp(spec);
  for (const form of [
    "--k, -k",
    "--cosine-similarity, -c / --no-cosine-similarity, -nc",
    "--prefix-match, -pm",
    "-nvs",
  ]) {
    expect(help).toContain(form);
  }
});

test("letters after one dash are still options of their own where no option has that name", () => {
  expect(options("-ca", "mean")).toMatchObject({ cosine: true, method: "mean" });
});

test.each([[["-a", "magic"]], [["-pm", "head"]], [["-k", "few"]], [["--new-vocab-noise", "-1"]], [["-nx"]]])(
  "%j is refused",
  (args: string[]) => {
    expect(() => options(...args)).toThrow();
  },
);
