import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { BUILT_IN } from "../../src/architecture/registry.ts";
import { expandPairs, mixtureDefinitions } from "../../src/moe/definition.ts";

const folder = join(import.meta.dir, "../../architectures/moe");
const read = (file: string) => JSON.parse(readFileSync(join(folder, file), "utf8"));
const schema = z.fromJSONSchema(read("schema.json"));
const definitions = mixtureDefinitions().map((definition) => [definition.name, definition] as const);

describe("the mixtures", () => {
  test("are exactly the files of architectures/moe/", () => {
    const files = readdirSync(folder).filter((file) => file !== "schema.json");
    const names = files.map((file) => read(file).name);
    expect(names.toSorted()).toEqual(definitions.map(([name]) => name).toSorted());
  });

  test.each(definitions)("%s fits the schema, and its families are described", (_, definition) => {
    expect(schema.safeParse(definition).error).toBeUndefined();
    expect(BUILT_IN.find(definition.architecture, undefined)).toBeString();
    expect(Object.keys(definition.inputs).filter((family) => BUILT_IN.named(family) === undefined)).toEqual([]);
  });

  test.each(definitions)("%s makes each weight of an expert from one of a dense model", (_, { experts, shared }) => {
    const sources = [...expandPairs(experts.weights).values()];
    expect(new Set(sources).size).toBe(3);
    expect(experts.residual.every((key) => sources.includes(key))).toBe(true);
    if (shared !== undefined) expect([...expandPairs(shared.weights).values()]).toEqual(sources);
  });

  test.each([
    ["no name", { name: undefined }],
    ["a key that the format has not", { comment: "" }],
    ["experts without a router", { experts: { weights: { a: "b" }, residual: [] } }],
    ["a default that is neither text nor number", { inputs: { llama: { rope_theta: [1] } } }],
    ["a stand-in without a width", { shared: { weights: { a: "b" }, stand_in: {} } }],
  ])("with %s are refused by the schema", (_, change) => {
    const altered = JSON.parse(JSON.stringify({ ...mixtureDefinitions()[0], ...change }));
    expect(schema.safeParse(altered).success).toBe(false);
  });
});

test("lists in braces pair off, and must be as long", () => {
  expect([...expandPairs({ "x.{a,b}": "{c,d}.y" })]).toEqual([
    ["x.a", "c.y"],
    ["x.b", "d.y"],
  ]);
  expect(() => expandPairs({ "{a,b}": "c" })).toThrow("as many names");
});
