import { describe, expect, test } from "bun:test";
import { findMethod, methodProblem, methods } from "../../src/methods/index.ts";
import { valueFault } from "../../src/methods/values.ts";

const at = { file: "recipe.yml", line: 1, column: 15 };

describe("the list of methods", () => {
  test("every method is found by its name, and none twice", () => {
    for (const method of methods) expect(findMethod(method.name)).toBe(method);
    expect(new Set(methods.map(({ name }) => name)).size).toBe(methods.length);
  });

  test("every default is of its parameter's type and within its bounds", () => {
    for (const spec of methods.flatMap((method) => method.parameters)) {
      if (spec.default === undefined) continue;
      expect(typeof spec.default).toBe(spec.type);
      expect(valueFault(spec, spec.default)).toBeUndefined();
    }
  });

  test("are mergekit's", () => {
    const expected =
      "passthrough linear slerp nuslerp multislerp karcher model_stock task_arithmetic ties dare_linear ";
    const more = "dare_ties breadcrumbs breadcrumbs_ties della_linear della sce ram ramplus_tl nearswap arcee_fusion";
    expect(methods.map(({ name }) => name)).toEqual((expected + more).split(" "));
  });

  test("say what they do, by which formula and when to use them", () => {
    for (const { title, summary, formula, use, parameters } of methods) {
      for (const text of [title, formula]) expect(text).not.toBe("");
      for (const text of [summary, use, ...parameters.map(({ doc }) => doc)]) expect(text).toEndWith(".");
    }
  });

  test("only the dare and della methods depend on the seed", () => {
    const random = methods.filter((method) => method.random).map(({ name }) => name);
    expect(random).toEqual(["dare_linear", "dare_ties", "della_linear", "della"]);
  });
});

describe("a name that is no method", () => {
  test("the nearest name is offered", () => {
    expect(methodProblem("tise", at)).toMatchObject({ code: "unknown-method", at });
    expect(methodProblem("tise", at).hint).toStartWith("did you mean ties?");
  });

  test("far from every name, all are listed", () => {
    expect(methodProblem("blorpification", at).hint).toStartWith("available: passthrough, linear");
  });
});

describe("values of parameters", () => {
  const spec = { name: "density", scope: "model", type: "number", required: false, min: 0, max: 2, doc: "" } as const;

  test.each([0, 2, 0.5, true])("%p is fine", (value) => expect(valueFault(spec, value)).toBeUndefined());

  test.each([
    [-0.1, "at least 0"],
    [2.1, "at most 2"],
    [Number.NaN, "finite"],
    [Number.POSITIVE_INFINITY, "finite"],
  ])("%p is not", (value, reason) => expect(valueFault(spec, value)).toContain(reason));
});
