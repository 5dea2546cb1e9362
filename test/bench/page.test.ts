import { expect, test } from "bun:test";
import { benchPage } from "../../src/bench/page.ts";
import { type Element, elements, parseMarkup } from "../report/well-formed.ts";
import { measured, result } from "./results.ts";

const PAGE = benchPage(result());
const ROOT = parseMarkup(PAGE);
const cells = (row: Element) => row.children.map(({ text }) => text);

test("the page is well-formed and has a title, a language and its character set", () => {
  expect(PAGE).toStartWith("<!DOCTYPE html>\n");
  expect(ROOT.children.map(({ name }) => name)).toEqual(["html"]);
  expect(ROOT.children[0]?.attributes.get("lang")).toBe("en");
  expect(elements(ROOT, "title")[0]?.text).toBe("Merge methods compared");
  expect(elements(ROOT, "meta")[0]?.attributes.get("charset")).toBe("utf-8");
});

test("the page needs nothing but itself", () => {
  expect(elements(ROOT, "script")).toEqual([]);
  expect(elements(ROOT, "link")).toEqual([]);
  expect(PAGE).not.toMatch(/\b(src|srcset)=|href="[^#]|url\(|@import|https?:/);
});

test("every colour of a chart is defined, for light and for dark", () => {
  const defined = PAGE.match(/--series-\d(?=:)/g) ?? [];
  for (const [used] of PAGE.matchAll(/(?<=var\()--series-\d/g)) {
    expect(defined.filter((name) => name === used)).toHaveLength(2);
  }
  expect(PAGE).toContain("@media (prefers-color-scheme: dark)");
});

test("every chart has a description, and its figures in a table below it", () => {
  for (const svg of elements(ROOT, "svg")) {
    expect(svg.attributes.get("role")).toBe("img");
    expect(svg.attributes.get("aria-label")).not.toBe("");
  }
  const sections = elements(ROOT, "section").filter((section) => elements(section, "svg").length > 0);
  expect(sections).toHaveLength(5);
  for (const section of sections) {
    const [table] = elements(section, "table");
    expect(elements(table as Element, "caption")[0]?.text).toBe(elements(section, "h2")[0]?.text as string);
    const [head, ...rows] = elements(table as Element, "tr");
    for (const row of rows) expect(row.children).toHaveLength(head?.children.length as number);
    for (const row of rows) expect(row.children[0]?.attributes.get("scope")).toBe("row");
  }
});

test("the tables have the figures of every method and part", () => {
  const [speed, change, cosines, density, conflicts] = elements(ROOT, "table").map((table) =>
    elements(table, "tr").map(cells),
  );
  expect(speed?.[1]).toEqual(["linear", "cpu", "1.500", "2.000, 1.000, 1.500", "2.00", "2.00 GB", "1.00 GB"]);
  expect(change?.[0]).toEqual(["Model or method", "attention", "mlp", "total", "norm"]);
  expect(change?.map(([name]) => name)).toEqual(["Model or method", "a", "b", "linear", "ties"]);
  expect(change?.[3]).toEqual(["linear", "12.5 %", "12.5 %", "12.5 %", "2.500"]);
  expect(cosines?.[3]).toEqual(["linear", "0.750  -0.250", "-  -", "0.750  -0.250"]);
  expect(density?.[4]).toEqual(["ties", "50.0 %", "50.0 %", "50.0 %"]);
  expect(conflicts?.slice(1).map(([part, share]) => [part, share])).toEqual([
    ["attention", "40.0 %"],
    ["mlp", "40.0 %"],
    ["total", "40.0 %"],
  ]);
});

test("a chart for the whole comes before those for the parts", () => {
  const captions = elements(ROOT, "h3").map(({ text }) => text);
  expect(captions).toEqual(["Seconds", "GB/s", ...Array(3).fill(["total", "attention", "mlp"]).flat()]);
});

test("skipped methods and recipes are listed, and nothing where there are none", () => {
  const lists = (page: string) => elements(parseMarkup(page), "h2").map(({ text }) => text);
  expect(lists(PAGE).slice(-2)).toEqual(["Skipped", "Recipes"]);
  expect(lists(benchPage(result({ skipped: [] })))).not.toContain("Skipped");
  expect(ROOT.text).toContain('{"merge_method":"ties",');
});

test("names that look like markup are text", () => {
  const hostile = "./<script>alert(1)</script>&'\"";
  const page = benchPage(result({ models: [hostile, "b"], measured: [measured("linear")] }));
  const root = parseMarkup(page);
  expect(elements(root, "script")).toEqual([]);
  expect(root.text).toContain(hostile);
});
