import { expect, test } from "bun:test";
import { type BenchValues, benchValue, checkValues, parseSetting } from "../../src/bench/values.ts";
import { Report } from "../../src/errors.ts";
import { findMethod, methods } from "../../src/methods/index.ts";
import type { MergeMethod } from "../../src/methods/types.ts";

function value(method: string, parameter: string, given: Record<string, number | boolean> = {}, models = 2) {
  const declared = findMethod(method) as MergeMethod;
  const spec = declared.parameters.find(({ name }) => name === parameter);
  if (spec === undefined) throw new Error(`${method} has no ${parameter}`);
  return benchValue(declared, spec, models, new Map(Object.entries(given)));
}

function problems(given: Record<string, number>) {
  const report = new Report();
  const values: BenchValues = new Map(Object.entries(given));
  checkValues(values, report);
  return report.errors;
}

test("models weigh the same, and their weights sum to one", () => {
  expect(value("linear", "weight", {}, 4)).toBe(0.25);
  expect(value("ties", "weight", {}, 1)).toBe(1);
});

test("density and t are a half, but the distance of nearswap is not", () => {
  expect(value("ties", "density")).toBe(0.5);
  expect(value("slerp", "t")).toBe(0.5);
  expect(value("nearswap", "t")).toBe(0.0001);
});

test("a parameter that has no value here keeps its declared default", () => {
  expect(value("ties", "lambda")).toBeUndefined();
});

test("a value for one method counts before a method's own default, and that before a value for all", () => {
  expect(value("slerp", "t", { t: 0.2 })).toBe(0.2);
  expect(value("nearswap", "t", { t: 0.2 })).toBe(0.0001);
  expect(value("nearswap", "t", { t: 0.2, "nearswap.t": 0.3 })).toBe(0.3);
  expect(value("ties", "density", { density: 0.1, "ties.density": 0.9, "della.density": 0.7 })).toBe(0.9);
});

test("every required parameter of every method has a value", () => {
  for (const method of methods) {
    for (const spec of method.parameters.filter(({ required }) => required)) {
      expect([method.name, spec.name, benchValue(method, spec, 2, new Map())]).not.toContain(undefined);
    }
  }
});

test("settings are names with numbers or truth values", () => {
  expect(parseSetting("ties.density=0.25")).toEqual(["ties.density", 0.25]);
  expect(parseSetting("normalize=false")).toEqual(["normalize", false]);
  expect(parseSetting("eps=1e-8")).toEqual(["eps", 1e-8]);
  for (const wrong of ["density", "density=", "=1", "a.b.c=1", "density=half", "density=Infinity"]) {
    expect(parseSetting(wrong)).toBeString();
  }
});

test("a name that no method has is refused with the nearest one", () => {
  expect(problems({ density: 1, "sce.select_topk": 1 })).toEqual([]);
  expect(problems({ densty: 1 })[0]).toMatchObject({ code: "unknown-value", hint: "did you mean density?" });
  expect(problems({ "tise.density": 1 })[0]).toMatchObject({ hint: "did you mean ties?" });
  expect(problems({ "slerp.density": 1 })[0]?.message).toBe('slerp has no parameter "density"');
  expect(problems({ foo: 1, bar: 2 })).toHaveLength(2);
});
