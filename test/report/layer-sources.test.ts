import { expect, test } from "bun:test";
import { stacksOf } from "../../src/report/cells.ts";
import { layersSection } from "../../src/report/layer-sources.ts";
import { plan as planOf, tinyModel } from "../plan/models.ts";
import { figures } from "./pages.ts";

function rows(text: string): readonly (readonly string[])[] | undefined {
  const { plan } = planOf(
    text,
    ["a", "b"].map((name) => tinyModel(name, { layers: 6 })),
  );
  const [stack] = stacksOf(figures(plan.ops, "")).stacks;
  const [section] = layersSection(stack as never, new Map(), "");
  return section?.table?.rows;
}

test("layers that were put together from several models are said by runs", () => {
  const text = `merge_method: passthrough
slices:
- sources: [{model: a, layer_range: [0, 4]}]
- sources: [{model: b, layer_range: [2, 5]}]
- sources: [{model: b, layer_range: [4, 5]}]
`;
  expect(rows(text)).toEqual([
    ["0 to 3", "a 0 to 3"],
    ["4 to 6", "b 2 to 4"],
    ["7", "b 4"],
  ]);
});

test("layers that were merged across have each of their sources", () => {
  const text = `merge_method: linear
slices:
- sources: [{model: a, layer_range: [0, 2], parameters: {weight: 1}}, {model: b, layer_range: [4, 6], parameters: {weight: 1}}]
`;
  expect(rows(text)).toEqual([["0 to 1", "a 0 to 1, b 4 to 5"]]);
});

test("nothing is said where every layer was made of the same layer of the same models", () => {
  expect(
    rows(
      "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: 1}}\n",
    ),
  ).toBeUndefined();
});
