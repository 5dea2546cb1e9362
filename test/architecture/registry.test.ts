import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { LOADERS } from "../../src/architecture/loaders.ts";
import { BUILT_IN, familiesOf } from "../../src/architecture/registry.ts";

const folder = join(import.meta.dir, "../../architectures");
const schemaText = readFileSync(join(folder, "schema.json"), "utf8");
const schema = z.fromJSONSchema(JSON.parse(schemaText));

describe("the list of families", () => {
  test("has exactly the files of architectures/", () => {
    const families = readdirSync(folder)
      .filter((file) => file.endsWith(".json") && !["index.json", "schema.json"].includes(file))
      .map((file) => file.replace(/\.json$/, ""));
    expect(BUILT_IN.names).toEqual(families.sort());
    expect(Object.keys(LOADERS).sort()).toEqual(families);
  });

  test.each([...BUILT_IN.names])("says of %s what its file says", (name) => {
    const definition = BUILT_IN.load(name);
    expect(definition).toEqual(JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")));
    expect(BUILT_IN.entry(name)).toEqual({
      model_types: definition.model_types,
      architectures: definition.architectures,
    } as ReturnType<typeof BUILT_IN.entry>);
  });

  test("claims no model type twice, and a class twice only under different model types", () => {
    const entries = BUILT_IN.names.map((name) => BUILT_IN.entry(name));
    const types = entries.flatMap((entry) => entry?.model_types ?? []);
    expect(new Set(types).size).toBe(types.length);
    const classes = entries.flatMap((entry) => entry?.architectures ?? []);
    const twice = classes.filter((one, i) => classes.indexOf(one) !== i);
    expect(twice.sort()).toEqual(["PhiForCausalLM", "PhiModel"]);
  });

  test("goes by the class, and by model_type where the class is in none or in several", () => {
    const { find } = BUILT_IN;
    expect(find("MistralForCausalLM", "llama")).toBe("mistral");
    expect(find("LlamaForRewards", "llama")).toBe("llama");
    expect(find("PhiForCausalLM", "phi-msft")).toBe("phi-msft");
    expect(find("PhiForCausalLM", "phi")).toBe("phi");
    expect(find(undefined, "phi3")).toBe("phi3");
    expect(find("UnheardModel", "unheard")).toBeUndefined();
    expect(find(undefined, undefined)).toBeUndefined();
    expect(find(undefined, "toString")).toBeUndefined();
    expect(BUILT_IN.named("toString")).toBeUndefined();
  });

  test("reads a definition only when it is asked for", () => {
    const read: string[] = [];
    const entries = { a: { model_types: ["a"], architectures: ["A"] } };
    const families = familiesOf(entries, (name) => {
      read.push(name);
      return BUILT_IN.load("llama");
    });
    expect(families.find("A", undefined)).toBe("a");
    expect(read).toEqual([]);
    families.load("a");
    expect(read).toEqual(["a"]);
  });
});

describe("the schema", () => {
  test.each([...BUILT_IN.names])("accepts %s", (name) => {
    expect(schema.safeParse(BUILT_IN.load(name)).error).toBeUndefined();
  });

  test("accepts everything that the format has", () => {
    const madeUp = JSON.parse(readFileSync(join(import.meta.dir, "made-up.json"), "utf8"));
    expect(schema.safeParse(madeUp).error).toBeUndefined();
  });

  const llama = BUILT_IN.load("llama");
  const module = llama.modules.default;
  const layer = (entry: unknown) => ({ ...llama, modules: { default: { ...module, layer: [entry] } } });
  test.each([
    ["a key that the format has not", { ...llama, comment: "" }],
    ["no classes", { ...llama, architectures: [] }],
    ["no modules", { ...llama, modules: {} }],
    ["a module of another family without a place in config.json", { ...llama, modules: { a: { family: "llama" } } }],
    ["a role that is none", layer({ name: "x", role: "tail" })],
    ["a weight without a name", layer({ optional: true })],
    ["a weight with a misspelt key", layer({ name: "x", alias: [] })],
    ["a group without weights", layer({ when: { layer: 1 } })],
    ["a comparison that is none", layer({ name: "x", when: { layer: { above: 1 } } })],
    ["a packed tensor without a name", layer({ name: "x", packed: { part: 1 } })],
  ])("refuses %s", (_, definition) => {
    expect(schema.safeParse(definition).success).toBe(false);
  });

  test("describes every key of the format", () => {
    expect(keysOf(JSON.parse(schemaText)).length).toBeGreaterThan(15);
    expect(keysOf(JSON.parse(schemaText)).filter(([, value]) => !Object.hasOwn(value, "description"))).toEqual([]);
  });
});

/** Every key that some object of the format may have, with its part of the schema. */
function keysOf(part: unknown): [string, object][] {
  if (typeof part !== "object" || part === null) return [];
  const own = "properties" in part ? Object.entries(part.properties as Record<string, object>) : [];
  return [...own, ...Object.values(part).flatMap(keysOf)];
}
