import { expect, test } from "bun:test";
import { summaryCounts } from "../../scripts/test-summary.ts";

test("the counts come from the summary that bun test prints last", () => {
  const output =
    "a.test.ts:\n 7 pass\n\n 12 pass\n 1 skip\n 2 fail\n 40 expect() calls\nRan 15 tests across 3 files.\n";
  expect(summaryCounts(output, 1)).toEqual({ passed: 12, failed: 2 });
});

test("an error outside of a test is a failure", () => {
  expect(summaryCounts(" 3 pass\n 0 fail\n 1 error\n", 1)).toEqual({ passed: 3, failed: 1 });
});

test("a run that ends badly without a summary has failed", () => {
  expect(summaryCounts("segmentation fault\n", 139)).toEqual({ passed: 0, failed: 1 });
});

test("a run without failures has none", () => {
  expect(summaryCounts(" 3 pass\n 0 fail\n", 0)).toEqual({ passed: 3, failed: 0 });
});
