import { describe, expect, test } from "bun:test";
import { readMultiConfig } from "../../src/config/multi.ts";
import { formatProblem, Report, SinterError } from "../../src/errors.ts";

const merge = (name: string | undefined, models: string) =>
  `${name === undefined ? "" : `name: ${name}\n`}merge_method: linear\nparameters: {weight: 1}\nmodels: [${models}]\n`;
const read = (text: string) => readMultiConfig(text, "g.yml", { strict: false }, new Report());

function problems(text: string): string[] {
  try {
    read(text);
  } catch (error) {
    if (error instanceof SinterError) return error.problems.map(formatProblem);
  }
  throw new Error("the text was read");
}

describe("a file of several merges", () => {
  test("gives each with its name and its own text, comments included", () => {
    const first = `# the first\n${merge("one", "{model: a}")}`;
    const last = merge(undefined, "{model: one}");
    const { merges } = read(`---\n${first}---\n${last}...\n---\n`);
    expect(merges.map(({ name }) => name)).toEqual(["one", undefined]);
    expect(merges.map(({ config }) => config.text)).toEqual([first, last]);
  });

  test("has positions that count from its start", () => {
    const { merges } = read(`${merge("one", "{model: a}")}---\n${merge("two", "{model: b}")}`);
    expect(merges[1]?.at).toEqual({ file: "g.yml", line: 6, column: 7 });
  });

  test("may have no document that holds nothing, and must have one that does", () => {
    expect(problems("---\n---\n")[0]).toContain("g.yml holds no merge");
  });

  test("refuses a name twice, and two merges without one, with both places", () => {
    const twice = problems(`${merge("one", "{model: a}")}---\n${merge("one", "{model: b}")}`);
    expect(twice).toEqual(["g.yml:6:7: two merges are named one\n  → the other is in line 1"]);
    const final = problems(`${merge(undefined, "{model: a}")}---\n${merge(undefined, "{model: b}")}`);
    expect(final[0]).toContain("g.yml:5:1: two merges have no name");
  });

  test.each(["../up", "a/b", ".hidden", '""'])("refuses %s as a name: it is to be a folder's", (name) => {
    expect(problems(merge(name, "{model: a}"))[0]).toContain("cannot be the name of a merge");
  });

  test("reports errors of all merges at once", () => {
    const text = "name: one\nmodels: []\n---\nname: two\nmerge_method: linear\ndtype: bf17\nmodels: [{model: a}]\n";
    const found = problems(text);
    expect(found.some((line) => line.startsWith("g.yml:1:1: the configuration has no merge_method"))).toBe(true);
    expect(found.some((line) => line.startsWith("g.yml:6:8: unknown dtype"))).toBe(true);
  });
});
