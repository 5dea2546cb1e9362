import { describe, expect, test } from "bun:test";
import { lower, lowered, method } from "./lowering.ts";

const base = { base: true };

/** The methods that work on differences from a base, the task vectors aside. */
const family: [name: string, parameters: Record<string, number>, params: number[], models: number][] = [
  ["sce", { select_topk: 0.3 }, [0.3], 2],
  ["ram", {}, [1e-5], 2],
  ["ramplus_tl", { epsilon: 0.01, r: 0.2, alpha: 0.3 }, [0.01, 0.2, 0.3], 2],
  ["nearswap", { t: 0.001 }, [0.001], 1],
  ["arcee_fusion", {}, [], 1],
];

describe.each(family)("%s", (name, parameters, params, models) => {
  test("reads the base first, then the models in their order, with its numbers", () => {
    const inputs = [{}, base, {}].slice(0, models + 1);
    const order = [1, 0, 2].slice(0, models + 1);
    expect(lowered(name, inputs, parameters)).toMatchObject({ kernel: name, inputs: order, params });
  });

  test("with no model besides it, the base is copied", () => {
    const copy = { kernel: "copy", inputs: [0], params: [] };
    expect(lowered(name, [base], parameters)).toEqual(copy);
    expect(lowered(name, [base, base], parameters)).toEqual(copy);
  });

  test("needs a base", () => {
    expect(method(name).base).toBe("required");
    expect(lower(name, [{}, {}], parameters)).toMatchObject({ code: "base-missing" });
  });
});

test("a model that stands alone is copied by arcee_fusion, and refused by the others", () => {
  expect(lowered("arcee_fusion", [{}])).toEqual({ kernel: "copy", inputs: [0], params: [] });
  for (const name of ["sce", "ram", "ramplus_tl", "nearswap"]) {
    expect(lower(name, [{}], { t: 1 })).toMatchObject({ code: "base-missing" });
  }
});

test("the ram methods have mergekit's defaults", () => {
  expect(lowered("ramplus_tl", [{}, base]).params).toEqual([1e-5, 0.1, 0.2]);
});

describe("sce", () => {
  test("selects everything unless told otherwise, and looks for a threshold only where there is one", () => {
    expect(lowered("sce", [{}, {}, base])).toEqual({ kernel: "sce", inputs: [2, 0, 1], params: [1] });
    expect(lowered("sce", [{}, {}, base], { select_topk: 0.1 }).scratch).toEqual({ selections: 1 });
    for (const select_topk of [0, -1, 1, 2]) {
      expect(lowered("sce", [{}, {}, base], { select_topk })).toMatchObject({
        params: [select_topk],
        scratch: undefined,
      });
    }
  });

  test("int8_mask changes nothing", () => {
    expect(lowered("sce", [{}, base], { int8_mask: true })).toEqual(lowered("sce", [{}, base]));
  });
});

test("arcee_fusion looks for a median and two quartiles, and keeps a divergence for each row", () => {
  const scratch = (shape: number[]) => lowered("arcee_fusion", [{}, base], {}, shape).scratch;
  expect(scratch([10, 4, 30])).toEqual({ selections: 3, numbers: 40, row: 30 });
  expect(scratch([])).toEqual({ selections: 3, numbers: 1, row: 1 });
  expect(scratch([0, 30])).toBeUndefined();
});
