import { describe, expect, test } from "bun:test";
import { degenerateRouters } from "../../src/moe/degenerate.ts";
import type { Expert } from "../../src/moe/types.ts";
import { configOf } from "./mixtures.ts";

const experts = configOf(`
base_model: base
experts:
  - {source_model: a, positive_prompts: [one]}
  - {source_model: b, positive_prompts: [two, three]}
  - {source_model: c, positive_prompts: ["${"long ".repeat(30)}"]}
`).experts as readonly Expert[];

/** Cosines of three experts, those of 1 and 2 given, by layer. */
function routing(closeness: readonly number[], condition: readonly number[]) {
  const cosines = closeness.flatMap((c) => [1, 0.1, 0.2, 0.1, 1, c, 0.2, c, 1]);
  return { cosines: Float64Array.from(cosines), condition: Float64Array.from(condition), rows: 3 };
}

describe("degenerate routers", () => {
  test("are none where all experts can be told apart", () => {
    expect(degenerateRouters(experts, routing([0.3, 0.5], [1.2, 5]))).toEqual([]);
  });

  test("are named with their layers, the closest experts, their prompts and their place", () => {
    const [problem] = degenerateRouters(experts, routing([0.99, 0.3, 0.999], [8, 2, 40]));
    expect(problem).toMatchObject({ code: "degenerate-routers", at: { line: 6 } });
    expect(problem?.message).toContain("the routers of 2 of 3 layers (0, 2) hardly tell some experts apart");
    expect(problem?.message).toContain('experts 1 ("two", "three") and 2 ("long long');
    expect(problem?.message).toContain("cosine of 0.9990");
    expect(problem?.message.length).toBeLessThan(400);
  });

  test("may be all, or dependent on each other", () => {
    const [all] = degenerateRouters(experts, routing([1, 1], [Number.POSITIVE_INFINITY, Number.NaN]));
    expect(all?.message).toContain("the routers of all layers");
    const [one] = degenerateRouters(experts, routing([1], [Number.POSITIVE_INFINITY]));
    expect(one?.message).toStartWith("the routers hardly");
  });
});
