import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { startIn } from "./start.ts";
import { writeTinyModels } from "./tiny-models.ts";

const ROOT = resolve(import.meta.dir, "../..");
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-architectures-"));
  writeTinyModels(folder);
  const config = JSON.parse(readFileSync(join(folder, "b", "config.json"), "utf8"));
  const unheard = { ...config, architectures: ["UnheardForCausalLM"], model_type: "unheard" };
  writeFileSync(join(folder, "b", "config.json"), JSON.stringify(unheard));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const start = (line: string) => startIn(folder, line, { XDG_CONFIG_HOME: join(folder, "config") });

describe("sinter architectures", () => {
  test("lists the families, also for a program", () => {
    const { code, out } = start("sinter architectures");
    expect(code).toBe(0);
    expect(out).toMatch(/^llama +llama +LlamaForCausalLM and \d+ more$/m);
    const list = JSON.parse(start("sinter architectures --json").out);
    expect(list.find(({ name }: { name: string }) => name === "phi-msft")).toMatchObject({ yours: false });
  });

  test("prints a definition by the name of its family, its class or its model_type", () => {
    const { out } = start("sinter architectures qwen2");
    expect(JSON.parse(out)).toEqual(JSON.parse(readFileSync(join(ROOT, "architectures", "qwen2.json"), "utf8")));
    expect(start("sinter architectures Qwen2ForCausalLM").out).toBe(out);
  });

  test("names the nearest family where there is none of that name", () => {
    const { code, err } = start("sinter architectures qwen22");
    expect(code).toBe(1);
    expect(err).toContain("did you mean qwen2?");
  });

  test("new makes a definition that the model is then understood by, without a warning", () => {
    expect(start("sinter inspect ./b").err).toContain("no family is described for UnheardForCausalLM");
    expect(start("sinter architectures new ./b -o mine.json")).toMatchObject({ code: 0, out: "" });
    expect(start("sinter architectures new ./b -o mine.json").err).toContain("the file is there already");
    const { code, out, err } = start("sinter inspect ./b --architectures mine.json");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^family +mine \(UnheardForCausalLM; model_type unheard\)$/m);
    expect(start("sinter architectures --architectures mine.json").out).toMatch(/^mine .*yours$/m);
  });

  test("new for a model of a described family gives that definition, and says so", () => {
    const { out, err } = start("sinter architectures new ./a");
    expect(JSON.parse(out).model_types).toEqual(["llama"]);
    expect(err).toBe("./a is of a family that is described: llama\n");
  });

  test("new without a model, and a surplus argument, are mistakes on the command line", () => {
    expect(start("sinter architectures new")).toMatchObject({ code: 2 });
    expect(start("sinter architectures llama extra")).toMatchObject({ code: 2 });
  });
});

describe("sinter inspect", () => {
  test("shows family, weights, modules, heads and files", () => {
    const { code, out, err } = start("sinter inspect ./a");
    expect([code, err]).toEqual([0, ""]);
    for (const row of [
      "model ",
      "family     llama",
      "BF16  21 tensors",
      "layers 0 to 1: 9 weights each",
      "unknown    nothing",
    ]) {
      expect(out).toContain(row);
    }
  });

  test("--json is one value", () => {
    const value = JSON.parse(start("sinter inspect ./a --json").out);
    expect(value).toMatchObject({ family: "llama", missing: [], unknown: [], tied: false });
  });

  test("ends with exit code 1 where weights are missing, and names them", () => {
    const config = JSON.parse(readFileSync(join(folder, "a", "config.json"), "utf8"));
    writeFileSync(join(folder, "a", "config.json"), JSON.stringify({ ...config, num_hidden_layers: 3 }));
    const { code, out } = start("sinter inspect ./a");
    writeFileSync(join(folder, "a", "config.json"), JSON.stringify(config));
    expect(code).toBe(1);
    expect(out).toMatch(/^missing +9 weights$/m);
    expect(out).toContain("model.layers.2.mlp.up_proj.weight");
  });

  test("of what is no model says why", () => {
    expect(start("sinter inspect ./nowhere")).toMatchObject({ code: 1, out: "" });
  });
});
