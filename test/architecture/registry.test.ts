import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { FAMILIES, familyNames, findFamily, loadFamily } from "../../src/architecture/registry.ts";

const folder = join(import.meta.dir, "../../architectures");
const schemaText = readFileSync(join(folder, "schema.json"), "utf8");
const schema = z.fromJSONSchema(JSON.parse(schemaText));

describe("the list of families", () => {
  test("has exactly the files of architectures/", () => {
    const files = readdirSync(folder).filter((file) => file !== "schema.json");
    expect(familyNames.map((name) => `${name}.json`)).toEqual(files.sort());
  });

  test.each([...familyNames])("says of %s what its file says", (name) => {
    const definition = loadFamily(name);
    expect(definition).toEqual(JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")));
    expect(FAMILIES[name]?.modelTypes).toEqual(definition.model_types);
    expect(FAMILIES[name]?.architectures).toEqual(definition.architectures);
  });

  test("claims no class and no model type twice", () => {
    const claims = Object.values(FAMILIES).flatMap(({ modelTypes, architectures }) => [
      ...modelTypes,
      ...architectures,
    ]);
    expect(new Set(claims).size).toBe(claims.length);
  });

  test("goes by the class, and by model_type where the class is in none", () => {
    expect(findFamily("MistralForCausalLM", "llama")).toBe("mistral");
    expect(findFamily("LlamaForRewards", "llama")).toBe("llama");
    expect(findFamily(undefined, "phi3")).toBe("phi3");
    expect(findFamily("BertModel", "bert")).toBeUndefined();
    expect(findFamily(undefined, undefined)).toBeUndefined();
    expect(findFamily(undefined, "toString")).toBeUndefined();
  });
});

describe("the schema", () => {
  test.each([...familyNames])("accepts %s", (name) => {
    expect(schema.safeParse(loadFamily(name)).error).toBeUndefined();
  });

  test("accepts everything that the format has", () => {
    const madeUp = JSON.parse(readFileSync(join(import.meta.dir, "made-up.json"), "utf8"));
    expect(schema.safeParse(madeUp).error).toBeUndefined();
  });

  const llama = loadFamily("llama");
  const module = llama.modules.default;
  test.each([
    ["a key that the format has not", { ...llama, comment: "" }],
    ["no classes", { ...llama, architectures: [] }],
    ["a module without layers", { ...llama, modules: { default: { ...module, layer: undefined } } }],
    ["a role that is none", { ...llama, modules: { default: { ...module, after: [{ name: "x", role: "tail" }] } } }],
    ["a weight without a name", { ...llama, modules: { default: { ...module, after: [{ optional: true }] } } }],
    [
      "a weight with a misspelt key",
      { ...llama, modules: { default: { ...module, after: [{ name: "x", alias: [] }] } } },
    ],
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
