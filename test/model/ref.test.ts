import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatModelRef, type ModelRef, parseModelPath, parseModelRef } from "../../src/model/ref.ts";

describe("a model's name as text", () => {
  test("a bare path has no revision and no adapter", () => {
    expect(parseModelRef("./models/a")).toEqual({ model: { path: "./models/a" } });
  });

  test("@ gives a revision and + an adapter, which may have a revision of its own", () => {
    expect(parseModelRef("org/base@main+org/lora@v2")).toEqual({
      model: { path: "org/base", revision: "main" },
      lora: { path: "org/lora", revision: "v2" },
    });
  });

  test("a second + or @ is refused with the text that has it", () => {
    expect(parseModelRef("a+b+c")).toContain('"a+b+c" has more than one "+"');
    expect(parseModelRef("a@b@c")).toContain('"a@b@c" has more than one "@"');
    expect(parseModelPath("a@b@c")).toContain('more than one "@"');
  });

  test("an empty name is refused, also on either side of +", () => {
    for (const text of ["", "  ", "@main", "+lora", "base+", "base+@v1"])
      expect(typeof parseModelRef(text)).toBe("string");
  });
});

describe("a reference written out", () => {
  const word = fc.stringMatching(/^[A-Za-z0-9._/-]{1,12}$/);
  const path = fc.oneof(
    word.map((name) => ({ path: name })),
    fc.tuple(word, word).map(([name, revision]) => ({ path: name, revision })),
  );
  const reference: fc.Arbitrary<ModelRef> = fc.oneof(
    path.map((model) => ({ model })),
    fc.tuple(path, path).map(([model, lora]) => ({ model, lora })),
  );

  test("reads back as the same reference", () => {
    fc.assert(fc.property(reference, (ref) => expect(parseModelRef(formatModelRef(ref))).toEqual(ref)));
  });

  test("names the overriding architecture, so that it is another reference", () => {
    expect(formatModelRef({ model: { path: "a" }, overrideArchitecture: "LlamaForCausalLM" })).toBe(
      "a as LlamaForCausalLM",
    );
  });
});
