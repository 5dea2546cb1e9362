import { expect, test } from "bun:test";
import { benchNotes, benchText } from "../../src/bench/table.ts";
import { cosineText, normText, rateText, secondsText, shareText } from "../../src/report/figures.ts";
import { measured, result } from "./results.ts";

test("the table has a line for each model and each method, with the figures of the whole", () => {
  const [head, a, b, empty, linear, ties] = benchText(result()).split("\n");
  expect(head).toMatch(/^ +SECONDS +GB\/S +CHANGE +RELATIVE +COSINES +CONFLICTS +DENSITY$/);
  expect(a).toMatch(/^a +2\.500 +12\.5 % +0\.750 -0\.250 +40\.0 % +50\.0 %$/);
  expect(b).toMatch(/^b /);
  expect(empty).toBe("");
  expect(linear).toMatch(/^linear +1\.500 +2\.00 +2\.500 +12\.5 % +0\.750 -0\.250 +40\.0 % +50\.0 %$/);
  expect(ties).toMatch(/^ties +12\.3 +0\.24 /);
  expect(new Set([head, a, b, linear, ties].map((line) => line?.length)).size).toBe(1);
});

test("skipped methods stand below with their reasons, where there are any", () => {
  expect(benchText(result())).toContain("Skipped:\n  slerp: merges 1 model besides the base, not 2\n");
  expect(benchText(result({ skipped: [] }))).not.toContain("Skipped");
});

test("figures have as many digits as one looks at", () => {
  expect([0, 0.00043741, 2.54, 151.44, 12_345.6].map(normText)).toEqual(["0", "0.0004374", "2.540", "151.4", "12346"]);
  expect([0, 0.00000271, 0.0094, 0.125, 1].map(shareText)).toEqual([
    "0.00 %",
    "0.00027 %",
    "0.94 %",
    "12.5 %",
    "100.0 %",
  ]);
  expect([1, -0.00001, 0, -0.2504].map(cosineText)).toEqual(["1.000", "0.000", "0.000", "-0.250"]);
  expect([0.1234, 9.9999, 61.29].map(secondsText)).toEqual(["0.123", "10.0", "61.3"]);
  expect([0.00123, 2.499].map(rateText)).toEqual(["1.2e-3", "2.50"]);
});

test("what has no number is a dash", () => {
  const nothing = measured("linear").effects.with(-1, {
    ...(measured("linear").effects[0] as ReturnType<typeof measured>["effects"][number]),
    changeNorm: Number.NaN,
    relativeChange: Number.NaN,
    cosines: [Number.NaN, 1],
    signConflicts: Number.NaN,
  });
  const line = benchText(result({ measured: [measured("linear", { effects: nothing })] })).split("\n")[4];
  expect(line).toMatch(/^linear +1\.500 +2\.00 +- +- +- 1\.000 +- +50\.0 %$/);
});

test("the notes say what changes are measured against", () => {
  expect(benchNotes(result())[0]).toBe("Changes are measured against the base, ./x/base.");
  expect(benchNotes(result({ base: undefined, reference: "./x/a" }))[0]).toBe(
    "Changes are measured against ./x/a, the first model, because no --base is given.",
  );
});

test("the notes say how it was measured", () => {
  expect(benchNotes(result()).join(" ")).toContain("Median of 3 runs each, on the CPU (x86-64-v3, 2 threads)");
  expect(benchNotes(result({ repeat: 1 })).join(" ")).toContain("One run each");
  const notes = benchNotes(
    result({ sync: false, scratchInMemory: true, measured: [measured("linear", { notCompared: ["w"] })] }),
  ).join(" ");
  expect(notes).toContain("No run waits until the disk has the output.");
  expect(notes).toContain("in memory (tmpfs)");
  expect(notes).toContain("linear: without counterpart in the models, and not compared: w.");
});

test("models of the same name are told apart by their whole names", () => {
  const names = benchNotes(result({ models: ["./x/a", "./y/a", "./y/b"] }))[1];
  expect(names).toContain("./x/a, ./y/a, b, in this order");
});
