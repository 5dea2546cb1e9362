import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { cosineText, normText, shareText } from "../../src/report/figures.ts";
import { writeWordTokenizer } from "../moe/word-tokenizer.ts";
import { decode } from "../oracle/dtype.ts";
import { elements, parseMarkup } from "../report/well-formed.ts";
import { readSafetensors, type StoredTensor } from "../support/safetensors.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { Workplace } from "./programs.ts";

const place = new Workplace();
const NOISE = "\n    noise_scale: 0.01";
const expert = (model: string, prompt: string, more = "") =>
  `  - source_model: ./${model}\n    positive_prompts: ["${prompt}"]${more}\n`;
const recipe = (gate: string, noise = NOISE) =>
  `base_model: ./base\ngate_mode: ${gate}\ndtype: bfloat16\nexperts:\n` +
  `${expert("a", "numbers")}${expert("b", "stories")}${expert("c", "all", noise)}`;

beforeAll(() => {
  const base = writeTinyModel(place.path("base"));
  for (const [i, name] of ["a", "b", "c"].entries()) writeTinyModel(place.path(name), { seed: 10 + i, base });
  writeWordTokenizer(place.path("base"));
});
afterAll(() => place.remove());

async function page(gate: string, out: string, ...options: string[]): Promise<string> {
  const args = ["moe", place.config(recipe(gate)), out, "--quiet", "--no-sync", "--report", `${out}.html`, ...options];
  expect((await place.run("sinter", args)).exitCode).toBe(0);
  return readFileSync(place.path(`${out}.html`), "utf8");
}

/** The rows of a table, without its head. */
function rows(text: string, caption: string): string[][] {
  const table = elements(parseMarkup(text), "table").find((one) => elements(one, "caption")[0]?.text === caption);
  return elements(table as never, "tr")
    .slice(1)
    .map((row) => row.children.map(({ text: cell }) => cell));
}

const valuesOf = ({ bytes, dtype }: StoredTensor) => [...decode(bytes, dtype as FloatDtype)];
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const norm = (a: readonly number[]) => Math.sqrt(dot(a, a));

test("experts, where their weights come from, and what tells them apart are those of the files", async () => {
  const text = await page("cheap_embed", "separate");
  const { tensors } = readSafetensors(place.path("separate", "model.safetensors"));
  const values = (name: string) => valuesOf(tensors.get(name) as StoredTensor);
  expect(rows(text, "Experts").map(([number, model, change]) => [number, model, change === "the same"])).toEqual([
    ["0", "./a", true],
    ["1", "./b", true],
    ["2", "./c", false],
  ]);
  const weights = (layer: number, e: number) =>
    ["gate", "up", "down"].flatMap((name) => values(`model.layers.${layer}.mlp.experts.${e}.${name}_proj.weight`));
  const gate = (layer: number) => values(`model.layers.${layer}.mlp.gate.weight`);
  for (const layer of [0, 1]) {
    const first = weights(layer, 0);
    const relative = [0, 1, 2].map(
      (e) => norm(weights(layer, e).map((x, i) => x - (first[i] as number))) / norm(first),
    );
    expect(rows(text, "Differences between experts")[layer]).toEqual([String(layer), ...relative.map(shareText)]);
    const vectors = [0, 16, 32].map((from) => gate(layer).slice(from, from + 16));
    expect(rows(text, "Norm of the routers' vectors")[layer]).toEqual([
      String(layer),
      ...vectors.map(norm).map(normText),
    ]);
    const nearest = vectors.map((a) =>
      Math.max(...vectors.filter((b) => b !== a).map((b) => dot(a, b) / norm(a) / norm(b))),
    );
    expect(rows(text, "Nearest other expert")[layer]).toEqual([String(layer), ...nearest.map(cosineText)]);
  }
  const sources = rows(text, "Where weights come from");
  expect(sources.find(([name]) => name === "self_attn.q_proj")?.slice(1, 4)).toEqual(["2", "the same", "base"]);
  expect(sources.find(([name]) => name === "mlp.experts.*.up_proj")?.slice(1, 4)).toEqual([
    "6",
    expect.stringContaining("%"),
    "a, b, c",
  ]);
});

test("experts that are packed into one tensor are told apart like those that are not", async () => {
  const [separate, packed] = [
    await page("cheap_embed", "s"),
    await page("cheap_embed", "p", "--expert-layout", "packed"),
  ];
  for (const caption of ["Experts", "Differences between experts", "Norm of the routers' vectors"]) {
    expect(rows(packed, caption)).toEqual(rows(separate, caption));
  }
});

test("a mixture of before gives the same page but for the speed, whatever its routers are", async () => {
  for (const gate of ["cheap_embed", "random"]) {
    const text = await page(gate, gate);
    expect(await place.run("sinter", ["report", gate, "-q"])).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    const later = readFileSync(place.path(`${gate}-report.html`), "utf8");
    const withoutSpeed = (one: string) =>
      one
        .replace(/<div><dt>Time<.*<\/dl>/, "</dl>")
        .replace(/ Speed is not recorded[^<]*/, "")
        .replace(/<section[^>]*>\n<h2[^>]*>Warnings<[\s\S]*?<\/section>/, "")
        .replace(/<li><a href="#warnings[\s\S]*?<\/li>/, "");
    expect(withoutSpeed(later).replaceAll(/-\d+"/g, '"')).toBe(withoutSpeed(text).replaceAll(/-\d+"/g, '"'));
  }
});
