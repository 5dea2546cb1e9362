import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readSafetensors, writeSafetensors } from "../support/safetensors.ts";
import { startIn } from "./start.ts";
import { writeTinyModels } from "./tiny-models.ts";

const ROOT = resolve(import.meta.dir, "../..");
const ADDON_BUILT = existsSync(join(ROOT, "build", "Release", "sinter.node"));
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-family-"));
  writeTinyModels(folder);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const start = (line: string) => startIn(folder, line, { NO_COLOR: "1", HF_HUB_OFFLINE: "1" });

const path = (...parts: string[]) => join(folder, ...parts);
const write = (name: string, text: string) => writeFileSync(path(name), text);
/** The first element of a tensor of bfloat16: the models hold one number each. */
const level = (out: string, tensor = "model.norm.weight") => {
  const bytes = readSafetensors(path(out, "model.safetensors")).tensors.get(tensor)?.bytes as Uint8Array;
  return new Float32Array(new Uint16Array([0, (bytes[0] as number) | ((bytes[1] as number) << 8)]).buffer)[0];
};

const graph = (t: number) => `name: one
merge_method: linear
models: [{model: ./a, parameters: {weight: 1}}, {model: ./b, parameters: {weight: 1}}]
dtype: bfloat16
---
# what the two are for
merge_method: linear
models: [{model: one, parameters: {weight: ${1 - t}}}, {model: ./b, parameters: {weight: ${t}}}]
dtype: bfloat16
`;

describe.skipIf(!ADDON_BUILT)("sinter multi", () => {
  const run = (config: string, ...options: string[]) =>
    start(["sinter multi", config, "-I work --out-path final --force", ...options].join(" "));

  test("carries out merges in their order; the card names the models and what the user wrote", () => {
    write("graph.yml", graph(0.5));
    const { code, err } = run("graph.yml");
    expect([code, err]).toEqual([0, ""]);
    expect([level("work/one"), level("final")]).toEqual([2, 2.5]);
    const card = readFileSync(path("final", "README.md"), "utf8");
    expect(card).toContain("- `one` (merged from `./a`, `./b`)\n- `./b`\n");
    expect(card).toContain("# what the two are for");
    expect(card).not.toContain("work");
    expect(readFileSync(path("final", "mergekit_config.yml"), "utf8")).toBe(graph(0.5));
  });

  test("takes what is finished as it is, and what a recipe changed is done again, with what follows from it", () => {
    const before = statSync(path("final", "model.safetensors")).mtimeMs;
    const again = run("graph.yml");
    expect(again.err).toContain(`one: finished earlier, taken as it is (${path("work", "one")})`);
    expect(again.err).toContain("the final merge: finished earlier, taken as it is");
    expect(statSync(path("final", "model.safetensors")).mtimeMs).toBe(before);

    write("graph.yml", graph(0.25));
    const final = run("graph.yml");
    expect(final.err).toContain("one: finished earlier");
    expect(final.err).toContain("the final merge: done again, because its recipe or its inputs changed");
    expect(level("final")).toBe(2.25);

    write(
      "graph.yml",
      graph(0.25).replace("parameters: {weight: 1}}, {model: ./b", "parameters: {weight: 3}}, {model: ./b"),
    );
    const both = run("graph.yml");
    expect(both.err).toContain("one: done again, because its recipe or its inputs changed");
    expect(both.err).toContain("the final merge: done again");
    expect([level("work/one"), level("final")]).toEqual([1.5, 1.875]);
  });

  test("does again what lost a file, what an input is newer than, and all of it with --no-lazy", () => {
    rmSync(path("work", "one", "model.safetensors"));
    expect(run("graph.yml").err).toContain("one: done again, because model.safetensors is not whole");
    const later = new Date(Date.now() + 5000);
    utimesSync(path("a", "model.safetensors"), later, later);
    const { err } = run("graph.yml");
    expect(err).toContain(`one: done again, because ${path("a", "model.safetensors")} is newer`);
    expect(err).toContain("the final merge: done again, because one is");
    const earlier = new Date(Date.now() - 60_000);
    utimesSync(path("a", "model.safetensors"), earlier, earlier);
    expect(run("graph.yml").err).toContain("one: finished earlier");
    expect(run("graph.yml", "--no-lazy").err).toContain("one: done again, because --no-lazy");
  });

  test("plans all merges before the first: nothing is written where the last one is wrong", () => {
    write("late.yml", graph(0.5).replace("weight: 0.5}}, {model: ./b", "weight: 0.5}}, {model: ./bb"));
    const { code, err } = start("sinter multi late.yml -I other --out-path late");
    expect(code).toBe(1);
    expect(err).toContain('late.yml:8:59: there is no folder "./bb"');
    expect([existsSync(path("other")), existsSync(path("late"))]).toEqual([false, false]);
  });

  test("knows near names of merges", () => {
    write("near.yml", graph(0.5).replace("[{model: one,", "[{model: onee,"));
    const { code, err } = start("sinter multi near.yml -I other --out-path late");
    expect(code).toBe(1);
    expect(err).toContain("→ did you mean the merge one?");
  });

  test("names the merges of a circle", () => {
    write(
      "circle.yml",
      "name: x\nmerge_method: linear\nmodels: [{model: y}]\n---\nname: y\nmerge_method: linear\nmodels: [{model: x}]\n",
    );
    const { code, err } = start("mergekit-multi circle.yml -I other");
    expect([code, existsSync(path("other"))]).toEqual([1, false]);
    expect(err).toContain("circle.yml:1:7: merges are made of each other: x needs y needs x");
  });

  test.each(["sinter multi", "mergekit-multi"])(
    "%s needs --out-path for a merge without a name, and --intermediate-dir",
    (program) => {
      const out = start(`${program} graph.yml -I other`);
      expect([out.code, existsSync(path("other"))]).toEqual([2, false]);
      expect(out.err).toContain("--out-path is needed: the merge in line 7 of graph.yml has no name");
      expect(start(`${program} graph.yml --out-path late`).err).toContain("Missing option --intermediate-dir, -I");
    },
  );

  test("--dry-run prints every plan and writes nothing", () => {
    const { code, out } = start("sinter multi graph.yml -I other --out-path late --dry-run");
    expect(code).toBe(0);
    expect(out).toMatch(/^one: to be done\nmethod {3}linear\n[\s\S]*\nthe final merge: to be done\nmethod {3}linear\n/);
    expect(existsSync(path("other"))).toBe(false);
  });

  test("leaves a folder alone that holds somebody else's model", () => {
    cpSync(path("a"), path("strange", "one"), { recursive: true });
    const { code, err } = start("sinter multi graph.yml -I strange --out-path late");
    expect([code, existsSync(path("late"))]).toEqual([1, false]);
    expect(err).toContain("the output folder is not free");
  });
});

describe.skipIf(!ADDON_BUILT)("raw merges", () => {
  beforeAll(() => {
    mkdirSync(path("checkpoints"));
    for (const [name, from] of [
      ["a+b@1.safetensors", "a"],
      ["other.safetensors", "b"],
    ] as const) {
      copyFileSync(path(from, "model.safetensors"), path("checkpoints", name));
    }
    write(
      "raw.yml",
      "merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: checkpoints/a+b@1.safetensors}, {model: checkpoints/other.safetensors}]\n",
    );
  });

  test.each(["sinter merge --raw raw.yml checkpoints/merged", "mergekit-pytorch raw.yml checkpoints/merged2"])(
    "%s merges files by name, beside them too, and writes weights alone",
    (line) => {
      const { code } = start(line);
      const out = line.split(" ").at(-1) as string;
      expect(code).toBe(0);
      expect(level(out)).toBe(2);
      expect(readdirSync(path(out)).sort()).toEqual(["model.safetensors", "sinter_manifest.json"]);
    },
  );

  test("sinter plan --raw shows the same, and the choice of tensors goes with --raw", () => {
    expect(start("sinter plan --raw raw.yml").out).toContain("method   linear");
    const { code, err } = start("sinter merge raw.yml out -i");
    expect(code).toBe(2);
    expect(err).toContain("--tensor-intersection goes with --raw");
  });
});

describe.skipIf(!ADDON_BUILT)("the smaller programs", () => {
  test("sinter legacy and mergekit-legacy average, and print what they stand for", () => {
    const { code, out } = start("sinter legacy legacy --merge ./a --merge ./b --method linear --bf16 --print-yaml");
    expect(code).toBe(0);
    expect(out).toStartWith("merge_method: linear\nmodels:\n  - model: ./a\n    parameters:\n      weight: 1\n");
    expect(level("legacy")).toBe(2);
    expect(start("mergekit-legacy legacy2 --merge ./a --merge ./b --weight 3 --weight 1 --method linear").code).toBe(0);
    expect(level("legacy2")).toBe(1.5);
    expect(start("mergekit-legacy legacy3 --method linear").code).toBe(2);
  });

  test("sinter shuffle draws the same stack as it prints, and --dry-run writes none", () => {
    const drawn = start("mergekit-layershuffle mixed -m ./a -w 1 -m ./b -w 1 --random-seed 4 --print-yaml --dry-run");
    expect([drawn.code, existsSync(path("mixed"))]).toEqual([0, false]);
    expect(start("sinter shuffle mixed -m ./a -w 1 -m ./b -w 1 --seed 4 --write-yaml drawn.yml").code).toBe(0);
    expect(readFileSync(path("drawn.yml"), "utf8")).toBe(drawn.out);
    expect([1, 3]).toContain(level("mixed", "model.layers.1.mlp.up_proj.weight") as number);
    expect(start("sinter shuffle none -m ./a -w 1 -m ./b").err).toContain("2 models and 1 weights");
  });

  test("bakllama stacks", () => {
    write("stack.yml", "layer_slices:\n  - {model: ./a, start: 0, end: 2}\n  - {model: ./b, start: 0, end: 1}\n");
    expect(start("bakllama stack.yml stacked").code).toBe(0);
    expect(JSON.parse(readFileSync(path("stacked", "config.json"), "utf8")).num_hidden_layers).toBe(3);
    expect(start("sinter bakllama stack.yml stacked2 --fp16").code).toBe(0);
  });

  test("sinter fill puts a part back, whatever stands before its names, and keeps all other files", () => {
    const { tensors } = readSafetensors(path("b", "model.safetensors"));
    mkdirSync(path("whole", "assets"), { recursive: true });
    const whole = new Map([...tensors].map(([name, tensor]) => [`language_model.${name}`, tensor]));
    const norm = tensors.get("model.norm.weight") as NonNullable<ReturnType<typeof tensors.get>>;
    writeSafetensors(path("whole", "model.safetensors"), whole.set("vision.weight", norm));
    write("whole/config.json", "{}");
    write("whole/assets/note.txt", "kept");
    expect(start("sinter fill ./whole ./a filled").code).toBe(0);
    expect(level("filled", "language_model.model.norm.weight")).toBe(1);
    expect(level("filled", "vision.weight")).toBe(3);
    expect(readFileSync(path("filled", "assets", "note.txt"), "utf8")).toBe("kept");
    expect(start("mergekit-fill-missing-params ./whole ./a").code).toBe(0);
    expect(level("whole--a", "vision.weight")).toBe(3);
    const { code, err } = start("sinter fill ./a ./whole other");
    expect([code, existsSync(path("other"))]).toEqual([1, false]);
    expect(err).toContain("the whole comes first, and then its part");
  });

  test("mergekit-evolve says that it comes later", () => {
    const { code, err } = start("mergekit-evolve config.yml --storage-path x");
    expect(code).toBe(2);
    expect(err).toContain("mergekit-evolve is not available yet");
  });
});

describe.skipIf(!ADDON_BUILT)("sinter verify", () => {
  const found = (line: string) => {
    const { code, out } = start(`sinter verify ${line} --json -q`);
    const findings = JSON.parse(out).findings as { what: string; outcome: string; problems: { code: string }[] }[];
    return {
      code,
      findings: Object.fromEntries(findings.map(({ what, outcome }) => [what, outcome])),
      codes: findings.flatMap(({ problems }) => problems.map(({ code }) => code)),
    };
  };
  const OK = { weights: "ok", values: "ok", files: "ok", model: "ok", recipe: "ok" };

  test("finds a merge to be its recipe's, for each program that writes a recipe", () => {
    expect(start("sinter merge linear.yml merged --seed 3").code).toBe(0);
    expect(found("merged --recompute")).toEqual({ code: 0, findings: { ...OK, bytes: "ok" }, codes: [] });
    expect(found("legacy --recompute").findings).toEqual({ ...OK, bytes: "ok" });
    expect(found("mixed --recompute").findings).toEqual({ ...OK, bytes: "ok" });
    expect(found("final").findings).toEqual(OK);
    expect(found("final --recompute -I work").findings).toEqual({ ...OK, bytes: "ok" });
    expect(found("checkpoints/merged --recompute").findings).toEqual({ ...OK, model: "skipped", bytes: "ok" });
    expect(found("whole--a --recompute").findings.bytes).toBe("ok");
  });

  test("finds a changed byte, a changed file, a changed manifest and a missing tensor", () => {
    cpSync(path("merged"), path("broken"), { recursive: true });
    const file = path("broken", "model.safetensors");
    const bytes = readFileSync(file);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    writeFileSync(file, bytes);
    write("broken/tokenizer.json", "{ }");
    const { code, codes } = found("broken");
    expect(code).toBe(1);
    expect(codes).toEqual(["bytes-changed", "file-changed"]);

    copyFileSync(path("merged", "model.safetensors"), file);
    copyFileSync(path("merged", "tokenizer.json"), path("broken", "tokenizer.json"));
    const manifest = JSON.parse(readFileSync(path("broken", "sinter_manifest.json"), "utf8"));
    manifest.recipe.text = manifest.recipe.text.replace("normalize: true", "normalize: false");
    manifest.tensors.extra = manifest.tensors["model.norm.weight"];
    writeFileSync(path("broken", "sinter_manifest.json"), JSON.stringify(manifest));
    expect(found("broken").codes).toEqual(["tensor-missing", "plan-changed"]);
  });

  test("finds ties and vocabularies that config.json does not tell right", () => {
    cpSync(path("merged"), path("untrue"), { recursive: true });
    const config = JSON.parse(readFileSync(path("untrue", "config.json"), "utf8"));
    writeFileSync(
      path("untrue", "config.json"),
      JSON.stringify({ ...config, tie_word_embeddings: true, vocab_size: 99 }),
    );
    write("untrue/tokenizer.json", JSON.stringify({ model: { vocab: { x: 4000 } } }));
    const { codes } = found("untrue");
    for (const code of ["tie", "vocabulary-rows", "tokenizer-rows", "file-changed"]) expect(codes).toContain(code);
  });

  test("says what it cannot look at, and what is no output of Sinter's", () => {
    mkdirSync(path("elsewhere"));
    cpSync(path("merged"), path("elsewhere", "merged"), { recursive: true });
    const manifest = readFileSync(path("elsewhere", "merged", "sinter_manifest.json"), "utf8");
    writeFileSync(path("elsewhere", "merged", "sinter_manifest.json"), manifest.replaceAll("./a", "./gone"));
    expect(found("elsewhere/merged")).toMatchObject({ code: 0, findings: { weights: "ok", recipe: "skipped" } });
    expect(found("elsewhere/merged --recompute").code).toBe(1);
    const { code, err } = start("sinter verify a");
    expect(code).toBe(1);
    expect(err).toContain("the folder has no sinter_manifest.json");
  });
});

describe("sinter convert", () => {
  test("prints the normal form, which is its own, and gives the hash of the plan again", () => {
    const { code, out } = start("sinter convert linear.yml");
    expect(code).toBe(0);
    expect(out).toContain("parameters:\n  normalize: true\n");
    write("normal.yml", out);
    expect(start("sinter convert normal.yml").out).toBe(out);
    const hash = (config: string) => JSON.parse(start(`sinter plan ${config} --json`).out).hash;
    expect(hash("normal.yml")).toBe(hash("linear.yml"));
  });

  test("takes files of several merges, of mixtures and of bakllama", () => {
    write("several.yml", graph(0.5));
    const several = start("sinter convert several.yml").out;
    expect(several).toMatch(/^name: one\nmerge_method: linear\n[\s\S]*\n---\nmerge_method: linear\n/);
    write("several-normal.yml", several);
    expect(start("sinter convert several-normal.yml").out).toBe(several);
    write(
      "moe.yml",
      "base_model: ./a\nexperts:\n  - {source_model: ./a, positive_prompts: [x]}\n  - {source_model: ./b}\n",
    );
    const mixture = start("sinter convert moe.yml").out;
    expect(mixture).toContain("gate_mode: hidden_last\n");
    expect(mixture).toContain("    negative_prompts: []\n    noise_scale: 0\n    residual_scale: 1\n");
    write("moe-normal.yml", mixture);
    expect(start("sinter convert moe-normal.yml").out).toBe(mixture);
    write("old.yml", "layer_slices:\n  - {model: ./a, start: 0, end: 1}\n");
    expect(start("sinter convert old.yml -o new.yml").code).toBe(0);
    expect(readFileSync(path("new.yml"), "utf8")).toStartWith("merge_method: passthrough\n");
  });

  test("refuses a method that there is not, with its place", () => {
    write("wrong.yml", "merge_method: tise\nmodels: [{model: a}]\n");
    const { code, err } = start("sinter convert wrong.yml");
    expect(code).toBe(1);
    expect(err).toContain("wrong.yml:1:15: unknown merge method");
  });
});
