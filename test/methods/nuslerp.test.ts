import { describe, expect, test } from "bun:test";
import { lowered } from "./lowering.ts";

const pair = [{ weight: 1 }, { weight: 3 }];

describe("nuslerp", () => {
  test("the weights give the place between the models, from the first to the second", () => {
    expect(lowered("nuslerp", pair)).toMatchObject({ kernel: "nuslerp", inputs: [0, 1], params: [0.75, 0] });
    expect(lowered("nuslerp", [{ weight: 0 }, { weight: 2 }]).params[0]).toBe(1);
    expect(lowered("nuslerp", [{ weight: -1 }, { weight: 2 }]).params[0]).toBe(2);
  });

  test.each([
    [1, -1],
    [0, 0],
    [4e-7, 5e-7],
  ])("weights %p and %p, which sum to nearly zero, meet half-way", (first, second) => {
    expect(lowered("nuslerp", [{ weight: first }, { weight: second }]).params[0]).toBe(0.5);
  });

  test("a base is the first input of a kernel of its own, wherever it stands", () => {
    const based = lowered("nuslerp", [{ weight: 1 }, { base: true }, { weight: 3 }]);
    expect(based).toMatchObject({ kernel: "nuslerp_base", inputs: [1, 0, 2], params: [0.75, 0] });
  });

  test.each([
    [{}, 0],
    [{ nuslerp_row_wise: true }, 0],
    [{ nuslerp_flatten: false }, 1],
    [{ nuslerp_flatten: false, nuslerp_row_wise: true }, 2],
  ])("%j: vectors of kind %d", (parameters, vectors) => {
    expect(lowered("nuslerp", pair, parameters).params[1]).toBe(vectors);
  });

  test("keeps five numbers for each vector", () => {
    const numbers = (row_wise: boolean, shape: number[]) =>
      lowered("nuslerp", pair, { nuslerp_flatten: false, nuslerp_row_wise: row_wise }, shape).scratch?.numbers;
    expect(numbers(false, [7, 3, 4])).toBe(5 * 21);
    expect(numbers(true, [7, 3, 4])).toBe(5 * 12);
    expect(numbers(false, [7])).toBe(5);
    expect(numbers(true, [])).toBe(5);
    expect(numbers(true, [0, 4])).toBeUndefined();
    expect(lowered("nuslerp", pair).scratch).toBeUndefined();
  });

  test("one model is copied, base or not; so is a base that stands twice", () => {
    const copy = { kernel: "copy", inputs: [0], params: [] };
    expect(lowered("nuslerp", [{ weight: 1 }])).toEqual(copy);
    expect(lowered("nuslerp", [{ base: true }])).toEqual(copy);
    expect(lowered("nuslerp", [{ base: true }, { base: true }])).toEqual(copy);
  });
});
