import { expect, test } from "bun:test";
import { type HeatMap, heatMap } from "../../src/report/heat-map.ts";
import { type Element, elements, parseMarkup } from "./well-formed.ts";

function draw(values: (number | undefined)[][], more: Partial<HeatMap> = {}) {
  const rows = values.map((cells, i) => ({
    label: String(i),
    cells: cells.map((value) => (value === undefined ? undefined : { value, text: `is ${value}` })),
  }));
  const columns = (values[0] ?? []).map((_, i) => `column ${i}`);
  const root = parseMarkup(heatMap({ title: "A map", columns, rows, scale: "share", format: String, ...more }));
  const cells = elements(root, "rect").filter((rect) => elements(rect, "title").length > 0);
  return { root, cells, texts: elements(root, "text").map(({ text }) => text) };
}

const opacity = (cell: Element | undefined) =>
  Number(/fill-opacity:([\d.]+)/.exec(cell?.attributes.get("style") ?? "")?.[1]);
const colour = (cell: Element | undefined) => /--series-\d/.exec(cell?.attributes.get("style") ?? "")?.[0];

test("the largest value has full colour, zero none, and what is between is between in order", () => {
  const { cells } = draw([[0, 0.001, 0.5, 2]]);
  const found = cells.map(opacity);
  expect(found[0]).toBe(0);
  expect(found[3]).toBe(1);
  expect(found).toEqual(found.toSorted((a, b) => a - b));
  expect(found[1]).toBeGreaterThan(0);
});

test("signed values have two colours, and equal sizes are equally strong", () => {
  const { cells, texts } = draw([[-0.5, 0.5]], { scale: "signed", top: 1 });
  expect(opacity(cells[0])).toBe(opacity(cells[1]));
  expect(colour(cells[0])).not.toBe(colour(cells[1]));
  expect(texts).toContain("-1");
});

test("a cell that is not there is not drawn, and a number without a meaning is an outline", () => {
  const { cells } = draw([[1, undefined, Number.NaN]]);
  expect(cells.length).toBe(2);
  expect(cells[1]?.attributes.get("class")).toBe("none");
});

test("every cell says its value when pointed at, and the drawing has a title for readers", () => {
  const { root, cells } = draw([[1], [2]], { title: "<A> & B" });
  expect(cells.map((cell) => elements(cell, "title")[0]?.text)).toEqual(["is 1", "is 2"]);
  expect(elements(root, "svg")[0]?.attributes.get("aria-label")).toBe("<A> & B");
});

test("no cell leaves the drawing, however many there are; maps of nothing and of zeros are drawings", () => {
  const { root, cells } = draw(Array.from({ length: 90 }, () => Array(30).fill(1)));
  const [, , width = 0, height = 0] = (elements(root, "svg")[0]?.attributes.get("viewBox") ?? "")
    .split(" ")
    .map(Number);
  for (const { attributes } of cells) {
    const at = (name: string) => Number(attributes.get(name));
    expect(at("x") + at("width")).toBeLessThanOrEqual(width);
    expect(at("y") + at("height")).toBeLessThanOrEqual(height);
  }
  expect(draw([]).cells).toEqual([]);
  expect(draw([[0, 0]]).cells.map(opacity)).toEqual([0, 0]);
});
