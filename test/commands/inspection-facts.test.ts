import { expect, test } from "bun:test";
import { expandArchitecture } from "../../src/architecture/expand.ts";
import { inspect } from "../../src/architecture/inspect.ts";
import { oddities } from "../../src/commands/inspection-facts.ts";
import { Report } from "../../src/errors.ts";
import { type TinyModel, tinyModel } from "../plan/models.ts";

function odd(tiny: TinyModel, largestId = 9): string[] {
  const model = tinyModel("m", tiny);
  const architecture = expandArchitecture(model, new Report());
  if (architecture === undefined) throw new Error("not understood");
  const facts = {
    from: "tokenizer.json",
    kind: "BPE",
    tokens: 10,
    added: 0,
    largestId,
    roles: {},
    chatTemplate: false,
  };
  return oddities(model, inspect(model, architecture), model.config.vocab_size, { facts });
}

test("a usual model has nothing odd, tied or not", () => {
  expect(odd({})).toEqual([]);
  expect(odd({ tied: true })).toEqual([]);
});

test("rows that config.json does not count, and ids beyond them, are odd", () => {
  expect(odd({ rows: 8, config: { vocab_size: 10 } })).toEqual([
    "config.json says 10 tokens, and the embedding has 8 rows",
    "the tokenizer has ids up to 9, and the embedding has 8 rows",
  ]);
});

test("a head that is stored although it is tied, or the reverse, is odd", () => {
  expect(odd({ tied: true, head: true })).toEqual(["the head is said to be tied, and the files store one of its own"]);
  expect(odd({ head: false })).toEqual(["the head is said to be its own, and the files store none"]);
});

test("another dtype than config.json says is odd", () => {
  expect(odd({ config: { torch_dtype: "float16" } })).toEqual(["config.json says float16, and most weights are BF16"]);
});
