import { describe, expect, test } from "bun:test";
import type { Parameter } from "../../src/config/types.ts";
import { problems, read, warnings } from "./reading.ts";

const config = (setting: string) => `merge_method: linear\nmodels: [{model: x}]\nparameters:\n  weight: ${setting}\n`;
const lines = (setting: string): Parameter["lines"] | undefined =>
  read(config(setting)).parameters.get("weight")?.lines;

describe("a parameter", () => {
  test.each([
    ["0.5", 0.5],
    ["017", 15],
    ["1e-3", 0.001],
    ["'0.5'", 0.5],
    ["true", true],
    ["no", false],
  ])("written %s is one value for every tensor", (setting, value) => {
    expect(lines(setting)).toEqual([{ value }]);
  });

  test("written as a list is a gradient", () => {
    expect(lines("[0, 1e-1, true]")).toEqual([{ value: [0, 0.1, true] }]);
  });

  test("may have lines with filters, or one such line", () => {
    expect(lines("[{filter: mlp, value: [0, 1]}, {value: 0.5}]")).toEqual([
      { filter: "mlp", value: [0, 1] },
      { value: 0.5 },
    ]);
    expect(lines("{filter: '*', value: 1}")).toEqual([{ filter: "*", value: 1 }]);
  });

  test("may have any text as its name, y among them", () => {
    expect([
      ...read("merge_method: linear\nmodels: [{model: x}]\nparameters: {y: 1, n: 2}\n").parameters.keys(),
    ]).toEqual(["y", "n"]);
  });

  test.each([
    ["abc", "4:11 config-type"],
    ["", "4:11 config-type"],
    [".nan", "4:11 parameter-value"],
    ["-.inf", "4:11 parameter-value"],
    ["'inf'", "4:11 parameter-value"],
    ["[]", "4:11 parameter-value"],
    ["[1, x]", "4:15 config-type"],
    ["[1, [2]]", "4:15 config-type"],
    ["[1, ~]", "4:15 config-type"],
    ["[{value: 1}, 2]", "4:24 config-type"],
    ["[{filter: mlp}]", "4:12 missing-key"],
    ["{filter: mlp, value: {a: 1}}", "4:32 config-type"],
    ["{filter: 3, value: 1}", "4:20 config-type"],
    ["{filter: mlp, value: []}", "4:32 parameter-value"],
  ])("written %s is an error", (setting, problem) => {
    expect(problems(config(setting))).toEqual([problem]);
  });

  test("with every bad value of a gradient reports each", () => {
    expect(problems(config("[x, 1, .inf]"))).toEqual(["4:12 config-type", "4:18 parameter-value"]);
  });

  test("written as quoted false is an error that says to drop the quotes", () => {
    expect(() => read(config('"False"'))).toThrow("drop the quotes: weight: false");
    expect(() => read(config("half"))).not.toThrow("drop the quotes");
    expect(() => read(config("half"))).toThrow("give a number");
  });

  test("with an unknown key in a line warns", () => {
    expect(warnings(config("{filtr: mlp, value: 1}"))).toMatchObject([
      { code: "unknown-key", hint: 'did you mean "filter"?' },
    ]);
  });

  test("whose name is no text is an error", () => {
    expect(problems("merge_method: linear\nmodels: [{model: x}]\nparameters: {on: 1}\n")).toEqual(["3:14 config-type"]);
    expect(problems("merge_method: linear\nmodels: [{model: x}]\nparameters: [1]\n")).toEqual(["3:13 config-type"]);
  });
});
