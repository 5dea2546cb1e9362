import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Report } from "../../src/errors.ts";
import { elementCount } from "../../src/model/types.ts";
import { native } from "../../src/native.ts";
import { replan } from "../../src/recipes/replan.ts";
import { cosine, norms, placeOf, relativeChange, signConflicts, stacksOf } from "../../src/report/cells.ts";
import { measureMerge } from "../../src/report/measure.ts";
import { readManifest } from "../../src/run/manifest.ts";
import { silentProgress } from "../../src/run/progress.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { tinyModel } from "../plan/models.ts";
import { elements, parseMarkup } from "../report/well-formed.ts";
import { readSafetensors, writeSafetensors } from "../support/safetensors.ts";

const ROOT = resolve(import.meta.dir, "../..");
const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-report-"));
  for (const [seed, name] of ["base", "a", "b"].entries()) writeModel(name, seed);
  const model = (name: string, weight: string) =>
    `  - {model: ${join(folder, name)}, parameters: {weight: ${weight}}}\n`;
  const config = `merge_method: task_arithmetic\nbase_model: ${join(folder, "base")}\nmodels:\n${model("a", "[0.25, 0.75]")}${model("b", "0.5")}dtype: bfloat16\n`;
  writeFileSync(join(folder, "merge.yml"), config);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function writeModel(name: string, seed: number): void {
  const model = tinyModel(name);
  const tensors = [...model.tensors].map(([tensor, { shape }]) => {
    const phase = Number(Bun.hash(tensor) % 1000n);
    const values = Float64Array.from({ length: elementCount(shape) }, (_, i) => {
      return Math.sin(phase + i) + 0.1 * Math.sin(seed * (phase + 3 * i));
    });
    return [tensor, { dtype: "BF16" as const, shape, bytes: encode(values, "BF16") }] as const;
  });
  mkdirSync(join(folder, name));
  writeSafetensors(join(folder, name, "model.safetensors"), new Map(tensors));
  writeFileSync(join(folder, name, "config.json"), JSON.stringify(model.config));
}

function sinter(...args: string[]) {
  const env = { ...process.env, SINTER_BUN: process.execPath };
  const result = Bun.spawnSync([join(ROOT, "bin", "sinter"), ...args], { cwd: folder, env, stdin: "ignore" });
  return { code: result.exitCode, out: result.stdout.toString(), err: result.stderr.toString() };
}

function values(path: string, pick: (name: string) => boolean): Float64Array {
  const tensors = [...readSafetensors(path).tensors]
    .filter(([name]) => pick(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return Float64Array.from(tensors.flatMap(([, { bytes }]) => [...decode(bytes, "BF16")]));
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const minus = (a: Float64Array, b: Float64Array) => a.map((x, i) => x - (b[i] as number));
const norm = (a: Float64Array) => Math.sqrt(dot(a, a));

test("tensors stand in a stack of layers, with experts under one name, or outside", () => {
  expect(placeOf("model.layers.3.self_attn.q_proj.weight")).toEqual({
    stack: "model.layers",
    layer: 3,
    module: "self_attn.q_proj",
  });
  expect(placeOf("model.layers.3.mlp.experts.17.up_proj.weight")?.module).toBe("mlp.experts.*.up_proj");
  expect(placeOf("h.0.attn.bias")).toEqual({ stack: "h", layer: 0, module: "attn.bias" });
  expect(placeOf("model.embed_tokens.weight")).toBeUndefined();
});

describe.skipIf(!ADDON_BUILT)("of a merge", () => {
  let page = "";
  beforeAll(() => {
    const { code, err } = sinter("merge", "merge.yml", "out", "-q", "--report", "at-once.html");
    if (code !== 0) throw new Error(err);
    page = readFileSync(join(folder, "at-once.html"), "utf8");
  });

  test("figures are those of a float64 recomputation, by cell and by layer", async () => {
    const out = join(folder, "out");
    const recipe = readManifest(out, new Report())?.recipe;
    if (recipe === undefined) throw new Error("no recipe");
    const plan = replan(recipe, { cacheDir: undefined }, new Report());
    const { tensors, notCompared } = await measureMerge(plan, out, native(), undefined, silentProgress);
    expect([tensors.length, notCompared]).toEqual([plan.ops.length, []]);
    const [stack] = stacksOf(tensors).stacks;
    const q = stack?.at(1, "self_attn.q_proj") ?? [];
    for (const [found, pick] of [
      [q, (name: string) => name.includes("layers.1.self_attn.q_proj")],
      [tensors, () => true],
    ] as const) {
      const [o, x, a, b] = ["out", "base", "a", "b"].map((name) => {
        return values(join(folder, name, "model.safetensors"), pick);
      }) as [Float64Array, Float64Array, Float64Array, Float64Array];
      const [p, r, d] = [minus(a, x), minus(b, x), minus(o, x)];
      for (const [name, input] of Object.entries({ base: x, a, b })) {
        expect(relativeChange(found, join(folder, name))).toBeCloseTo(norm(minus(o, input)) / norm(input), 6);
      }
      expect(cosine(found, join(folder, "a"))).toBeCloseTo(dot(d, p) / norm(d) / norm(p), 6);
      expect(norms(found, join(folder, "base"))).toEqual({
        output: expect.closeTo(norm(o), 8),
        input: expect.closeTo(norm(x), 8),
      });
      const changed = p.filter((value, i) => value !== 0 || r[i] !== 0).length;
      expect(signConflicts(found)).toBe(p.filter((value, i) => value * (r[i] as number) < 0).length / changed);
    }
  });

  test("the page has a map of each kind with its figures in a table, and needs nothing but itself", () => {
    const root = parseMarkup(page);
    expect(elements(root, "h2").map(({ text }) => text)).toEqual([
      "Recipe",
      "The whole model",
      "Largest changes",
      "Which input each change follows",
      "Change against each input",
      "Sign conflicts",
      "Direction of each input",
      "Norms before and after",
      "Parameters as applied",
      "Outside the layers",
      "Vocabulary",
      "NaN and infinity",
      "Warnings",
    ]);
    const figures = elements(root, "figure");
    expect(figures.map(({ attributes }) => attributes.get("aria-label"))).toEqual([
      "Which input each change follows",
      "Change against each input: base",
      "Change against each input: a",
      "Change against each input: b",
      "Sign conflicts",
      "Direction of each input: a",
      "Direction of each input: b",
      "Norms before and after: by layer",
      "Norms before and after: against base",
      "Parameters as applied: weight of a",
    ]);
    for (const figure of figures) {
      const [table] = elements(figure, "table");
      expect(elements(table as never, "tr").length).toBe(3);
      const cells = elements(table as never, "td").filter(({ text }) => text !== "");
      if (figure.attributes.get("class") === "map") expect(elements(figure, "rect").length).toBe(cells.length);
      expect(elements(figure, "svg").at(-1)?.attributes.get("role")).toBe("img");
    }
    expect(elements(root, "link")).toEqual([]);
    expect(page).not.toMatch(/\b(src|srcset)=|href="[^#]|url\(|@import|https?:|fetch\(|XMLHttp/);
  });

  test("gradients stand there as they were applied", () => {
    const tables = elements(parseMarkup(page), "table");
    const rows = (title: string) => {
      const table = tables.find((one) => elements(one, "caption")[0]?.text === title);
      return elements(table as never, "tr").map((row) => row.children.map(({ text }) => text));
    };
    expect(rows("Parameters as applied: weight of a").slice(1)).toEqual([
      ["0", "0.25"],
      ["1", "0.75"],
    ]);
    expect(rows("Parameters as applied")).toContainEqual(["weight of b", "0.5"]);
  });

  test("what may be wider than the page can be reached with the keyboard", () => {
    const regions = elements(parseMarkup(page), "div").filter((div) => div.attributes.get("class") === "wide");
    expect(regions.length).toBeGreaterThan(0);
    for (const { attributes } of regions) {
      expect([attributes.get("tabindex"), attributes.get("role")]).toEqual(["0", "region"]);
      expect(attributes.get("aria-label")).not.toBe("");
    }
  });

  test("a folder that was written before gives the same page but for the speed, beside the folder", () => {
    expect(sinter("report", "out", "-q")).toEqual({ code: 0, out: "", err: "" });
    const later = readFileSync(join(folder, "out-report.html"), "utf8");
    const withoutSpeed = (text: string) =>
      text.replace(/<div><dt>Time<.*<\/dl>/, "</dl>").replace(/ Speed is not recorded[^<]*/, "");
    expect(withoutSpeed(later)).toBe(withoutSpeed(page));
    expect(page).toMatch(/<dt>Time<\/dt><dd>[\d.]+ s, /);
  });

  test("a NaN in the output is counted and named", () => {
    const copy = join(folder, "broken");
    mkdirSync(copy);
    for (const name of ["sinter_manifest.json", "model.safetensors"]) {
      writeFileSync(join(copy, name), readFileSync(join(folder, "out", name)));
    }
    const bytes = readFileSync(join(copy, "model.safetensors"));
    // The last element of the last tensor.
    bytes.writeUInt16LE(0x7fc0, bytes.length - 2);
    writeFileSync(join(copy, "model.safetensors"), bytes);
    expect(sinter("report", "broken", "-q").code).toBe(0);
    const text = readFileSync(join(folder, "broken-report.html"), "utf8");
    expect(text).toContain('<dd class="failed">NaN or infinity: 1<');
    expect(text).toMatch(/: 1 of \d+ elements<\/li>/);
  });

  test("models that changed since, and a folder without a manifest, are refused", () => {
    const moved = join(folder, "out", "sinter_manifest.json");
    const text = readFileSync(moved, "utf8");
    writeFileSync(moved, text.replace(/"plan": "[^"]*"/, '"plan": "other"'));
    const other = sinter("report", "out");
    writeFileSync(moved, text);
    expect([other.code, other.err]).toEqual([1, expect.stringContaining("gives another plan by now")]);
    expect(sinter("report", "a")).toMatchObject({ code: 1, err: expect.stringContaining("sinter_manifest.json") });
  });

  test("a page that cannot be written is refused before the merge", () => {
    const { code, err } = sinter("merge", "merge.yml", "never", "--report", "nowhere/page.html");
    expect([code, err]).toEqual([1, expect.stringContaining("cannot write the page")]);
    expect(existsSync(join(folder, "never"))).toBe(false);
  });

  test("a comparison of two models is a page, too, which is refused before the work where it cannot be written", () => {
    const { code, out } = sinter("diff", "a", "b", "--base", "base", "--html", "diff.html", "-q");
    expect([code, out]).toEqual([0, expect.stringContaining("Changes from base:")]);
    const root = parseMarkup(readFileSync(join(folder, "diff.html"), "utf8"));
    expect(elements(root, "h2").map(({ text }) => text)).toEqual([
      "Relative change",
      "Angle",
      "Changed elements",
      "Change from the base",
      "Cosine of the changes",
      "Sign conflicts",
      "Elements above thresholds",
      "By module",
      "By layer",
      "Largest relative changes",
    ]);
    expect(sinter("diff", "a", "b", "--html", "nowhere/diff.html").err).toContain("cannot write the page");
  });
});
