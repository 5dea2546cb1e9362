import { expect, test } from "bun:test";
import { colourKey, colourScale, type HeatMap, heatMap } from "../../src/report/heat-map.ts";
import { STEPS } from "../../src/report/palette.ts";
import { type Element, elements, parseMarkup } from "./well-formed.ts";

function draw(cells: (number | undefined)[][], more: Partial<HeatMap> = {}) {
  const columns = cells.map((_, i) => String(i));
  const rows = (cells[0] ?? []).map((_, i) => `row ${i}`);
  const values = cells.flat().filter((value) => value !== undefined);
  const scale = colourScale("share", values, String);
  const { drawing, width } = heatMap({ title: "A map", unit: "layer", columns, rows, cells, scale, ...more });
  const root = parseMarkup(drawing);
  return { root, width, cells: elements(root, "rect"), texts: elements(root, "text").map(({ text }) => text) };
}

const fill = (cell: Element | undefined) => cell?.attributes.get("fill") ?? "";
const step = (cell: Element | undefined) => Number(/--\w+-(\d+)/.exec(fill(cell))?.[1]);
const signed = (top: number) => ({ scale: { ...colourScale("signed", [top], String), top } });

test("the largest value has the last colour, zero the first, and what is between is between in order", () => {
  const steps = draw([[0, 0.1, 0.5, 2]]).cells.map(step);
  expect([steps[0], steps[3]]).toEqual([0, STEPS]);
  expect(steps).toEqual(steps.toSorted((a, b) => a - b));
  expect(new Set(steps).size).toBe(4);
});

test("signed values go both ways from the middle, equally far for equal sizes", () => {
  const [low, middle, high] = draw([[-0.5, 0, 0.5]], signed(1)).cells.map(step);
  expect(middle).toBe(STEPS / 2);
  expect((low as number) + (high as number)).toBe(STEPS);
  expect(low).toBeLessThan(middle as number);
});

test("one value far beyond the others does not take their colours, and the key says so", () => {
  const usual = Array.from({ length: 99 }, (_, i) => 1 + i / 100);
  const scale = colourScale("share", [...usual, 1000], String);
  expect([scale.top < 2, scale.exceeded]).toEqual([true, true]);
  expect(colourKey(scale)).toContain("≥ ");
  expect(colourScale("share", usual, String)).toMatchObject({ top: usual.at(-1), exceeded: false });
});

test("a cell that is not there is not drawn, and a number without a meaning is hatched", () => {
  const { cells } = draw([[1, undefined, Number.NaN]]);
  expect(cells.length).toBe(2);
  expect([fill(cells[0]), fill(cells[1])]).toEqual([`var(--amount-${STEPS})`, "url(#no-number)"]);
  expect(colourKey(colourScale("share", [1, Number.NaN], String))).toContain("no number");
});

test("cells stand in the order of the table, column by column", () => {
  const { cells } = draw([
    [1, 2],
    [3, 4],
  ]);
  const places = cells.map(({ attributes }) => ["x", "y"].map((name) => Number(attributes.get(name))));
  expect(places[0]?.[0]).toBe(places[1]?.[0] as number);
  expect(places[0]?.[1]).toBe(places[2]?.[1] as number);
  expect(places[0]?.[0]).toBeLessThan(places[2]?.[0] as number);
});

test("names are escaped, long ones shortened at their start, and the drawing has a title for readers", () => {
  const long = "a.module.with.a.name.that.is.longer.than.there.is.room.for";
  const { root, texts } = draw([[1, 2]], { title: '<A> & "B"', rows: ["<b>&'", long] });
  expect(elements(root, "svg")[0]?.attributes.get("aria-label")).toBe('<A> & "B"');
  expect(elements(root, "svg")[0]?.attributes.get("role")).toBe("img");
  expect(texts).toContain("<b>&'");
  expect(texts.find((text) => text.startsWith("…"))).toEndWith("there.is.room.for");
});

test("no cell leaves the drawing, however many there are; maps of nothing and of zeros are drawings", () => {
  const { root, cells, width, texts } = draw(Array.from({ length: 90 }, () => Array(30).fill(1)));
  const [, , , height = 0] = (elements(root, "svg")[0]?.attributes.get("viewBox") ?? "").split(" ").map(Number);
  for (const { attributes } of cells) {
    const at = (name: string) => Number(attributes.get(name));
    expect(at("x") + at("width")).toBeLessThanOrEqual(width);
    expect(at("y") + at("height")).toBeLessThanOrEqual(height);
  }
  // Names of columns that would overlap are left out.
  expect(texts.filter((text) => /^\d+$/.test(text)).length).toBeLessThan(46);
  expect(draw([]).cells).toEqual([]);
  expect(draw([[0, 0]]).cells.map(step)).toEqual([0, 0]);
});

test("more rows than there is room for are narrower, and every so many has its name", () => {
  const { root, cells, texts } = draw([Array(200).fill(1)]);
  const [, , , height = 0] = (elements(root, "svg")[0]?.attributes.get("viewBox") ?? "").split(" ").map(Number);
  expect([cells.length, height < 1300]).toEqual([200, true]);
  const names = texts.filter((text) => text.startsWith("row "));
  expect(names.length).toBeLessThan(100);
  expect(names.slice(0, 2)).toEqual(["row 0", "row 3"]);
});

test("a name cannot be taken for a place of what it replaces", () => {
  const title = "$& $' $` $$ $1 \u001B[2J";
  const { root } = draw([[1]], { title, rows: [title] });
  expect(elements(root, "svg")[0]?.attributes.get("aria-label")).toBe("$& $' $` $$ $1 \\u001b[2J");
  expect(elements(root, "text")[0]?.text).toBe("$& $' $` $$ $1 \\u001b[2J");
});
