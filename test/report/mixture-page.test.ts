import { expect, test } from "bun:test";
import { mixturePage } from "../../src/report/mixture-page.ts";
import { configOf, planned, trio } from "../moe/mixtures.ts";
import { elements, parseMarkup } from "./well-formed.ts";

test("maps of 256 experts in 61 layers have a row for each three of them, with the largest value, in a page below 2 MB", () => {
  const count = 256;
  const expert = (i: number) => `- {source_model: ${"ab"[i % 2]}, positive_prompts: [p${i}]}`;
  const list = Array.from({ length: count }, (_, i) => i);
  const text = `base_model: base\ngate_mode: cheap_embed\nexperts:\n${list.map(expert).join("\n")}\n`;
  const { plan } = planned(text, trio());
  const layers = Array.from({ length: 61 }, (_, layer) => layer);
  const page = mixturePage({
    name: "deep",
    plan,
    config: configOf(text),
    measure: { tensors: [], notCompared: [], bytesRead: 1, seconds: 1 },
    mixture: {
      routers: layers.map((layer) => ({
        layer,
        norms: list,
        cosines: list.map((a) => list.map((b) => (a === b ? 1 : 0.5))),
      })),
      differences: layers.map((layer) => ({ layer, values: list.map((i) => i / 1000) })),
    },
    speed: undefined,
  });
  expect(page.length).toBeLessThan(2e6);
  const root = parseMarkup(page);
  const maps = elements(root, "figure").filter(({ attributes }) => attributes.get("class") === "map");
  expect(maps.map(({ attributes }) => attributes.get("aria-label"))).toEqual([
    "Differences between experts",
    "Norm of the routers' vectors",
    "Nearest other expert",
  ]);
  for (const map of maps) expect(elements(map, "rect").length).toBe(61 * 86);
  const [head, first] = elements(maps[1] as never, "tr").map((row) => row.children.map(({ text: cell }) => cell));
  expect([head?.[1], first?.[1], head?.at(-1), first?.at(-1)]).toEqual(["experts 0 to 2", "2.000", "255 b", "255.0"]);
  const experts = elements(root, "table").find((one) => elements(one, "caption")[0]?.text === "Experts");
  expect(elements(experts as never, "tr").length).toBe(count + 1);
});
