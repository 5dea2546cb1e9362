import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readMultiConfig } from "../../src/config/multi.ts";
import { formatProblem, Report, SinterError } from "../../src/errors.ts";
import { closure, mergeOrder } from "../../src/recipes/merge-graph.ts";

/** `a: b c` as a merge `a` of the models `b` and `c`; a line without a name is the final merge. */
function graph(lines: readonly string[]) {
  const documents = lines.map((line) => {
    const [name = "", models = ""] = line.split(":").map((part) => part.trim());
    const list = models.split(" ").map((model) => `{model: ${model}}`);
    return `${name === "" ? "" : `name: ${name}\n`}merge_method: linear\nmodels: [${list.join(", ")}]\n`;
  });
  return readMultiConfig(documents.join("---\n"), "g.yml", { strict: false }, new Report());
}

const order = (...lines: string[]) => mergeOrder(graph(lines), new Report()).map(({ merge }) => merge.name ?? "final");

function problem(...lines: string[]): string {
  try {
    order(...lines);
  } catch (error) {
    if (error instanceof SinterError) return formatProblem(error.problems[0] as (typeof error.problems)[number]);
  }
  throw new Error("there is an order");
}

describe("several merges", () => {
  test("are done after those that they are made of", () => {
    expect(order(": two one", "two: one x", "one: x y")).toEqual(["one", "two", "final"]);
  });

  test("keep the order of the file where it does not matter", () => {
    expect(order("b: x", "a: x", "c: a")).toEqual(["b", "a", "c"]);
  });

  test("need the model that only the tokenizer is made of", () => {
    const text =
      "merge_method: linear\nmodels: [{model: x}]\ntokenizer_source: tok\n---\nname: tok\nmerge_method: linear\nmodels: [{model: y}]\n";
    const multi = readMultiConfig(text, "g.yml", { strict: false }, new Report());
    expect(mergeOrder(multi, new Report()).map(({ merge }) => merge.name)).toEqual(["tok", undefined]);
  });

  test("that are made of each other are refused, with every name of the circle and only those", () => {
    expect(problem("z: a", "a: b", "b: c x", "c: a")).toStartWith(
      "g.yml:5:7: merges are made of each other: a needs b needs c needs a",
    );
    expect(problem("a: a x")).toContain("a is made of itself");
  });

  test("of any acyclic graph come in an order that respects it", () => {
    const edges = fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 20 });
    const permutation = fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 8 });
    fc.assert(
      fc.property(edges, permutation, (pairs, file) => {
        const needs = (i: number) => [...new Set(pairs.filter(([a, b]) => a === i && b < i).map(([, b]) => `m${b}`))];
        const found = order(...file.map((i) => `m${i}: ${[...needs(i), "x"].join(" ")}`));
        expect(found.toSorted()).toEqual(file.map((i) => `m${i}`).toSorted());
        for (const i of file)
          for (const need of needs(i)) expect(found.indexOf(need)).toBeLessThan(found.indexOf(`m${i}`));
      }),
      { numRuns: 60 },
    );
  });

  test("a merge's closure is all that it is made of, and itself last", () => {
    const nodes = mergeOrder(graph(["one: x", "two: one", "other: x", "three: two one"]), new Report());
    const three = nodes.find(({ merge }) => merge.name === "three");
    expect(three && closure(three).map(({ merge }) => merge.name)).toEqual(["one", "two", "three"]);
  });
});
