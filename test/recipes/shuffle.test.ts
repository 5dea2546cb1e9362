import { describe, expect, test } from "bun:test";
import { readMergeConfig } from "../../src/config/read.ts";
import { Report } from "../../src/errors.ts";
import { philox, randomNumbers } from "../../src/recipes/philox.ts";
import { drawLayers, shuffleText } from "../../src/recipes/shuffle.ts";
import { philox as oracle, type Words4 } from "../oracle/philox.ts";

const model = (name: string, weight = 1, layers = 24) => ({ name, weight, layers });
const layersOf = (slices: ReturnType<typeof drawLayers>) =>
  slices.flatMap(({ model: name, start, end }) =>
    Array.from({ length: end - start }, (_, i) => [name, start + i] as const),
  );

describe("random numbers", () => {
  test("are Philox's, as an implementation of its own says", () => {
    for (const [counter, key] of [
      [0n, 0n],
      [1n, 42n],
      [(1n << 96n) + (7n << 64n) + 12345n, (9n << 32n) + 3n],
    ] as const) {
      const words = [0n, 32n, 64n, 96n].map((shift) => Number((counter >> shift) & 0xffff_ffffn)) as Words4;
      expect(philox(counter, key).map(Number)).toEqual(oracle(words, [Number(key & 0xffff_ffffn), Number(key >> 32n)]));
    }
  });

  test("lie in [0, 1), evenly, and depend on the seed", () => {
    const [one, two] = [randomNumbers(1), randomNumbers(2)];
    const values = Array.from({ length: 4000 }, one);
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.025);
    expect(values[0]).not.toBe(two());
    expect(values[0]).toBe(randomNumbers(1)());
  });
});

describe("drawn layers", () => {
  test("stay in their place, each of one of the models, and neighbours of one model make one slice", () => {
    const slices = drawLayers([model("a"), model("b")], 3, false);
    expect(layersOf(slices).map(([, layer]) => layer)).toEqual(Array.from({ length: 24 }, (_, i) => i));
    expect(new Set(slices.map((slice) => slice.model))).toEqual(new Set(["a", "b"]));
    for (const [i, slice] of slices.entries()) expect(slice.model).not.toBe(slices[i + 1]?.model as string);
  });

  test("are the same for a seed, and others for another", () => {
    const drawn = (seed: number) => drawLayers([model("a"), model("b")], seed, false);
    expect(drawn(5)).toEqual(drawn(5));
    expect(drawn(5)).not.toEqual(drawn(6));
  });

  test("come from a model as often as its weight says", () => {
    const drawn = layersOf(drawLayers([model("a", 3, 4000), model("b", 1, 4000), model("c", 0, 4000)], 1, false));
    const share = drawn.filter(([name]) => name === "a").length / drawn.length;
    // Four standard deviations of a binomial share.
    expect(Math.abs(share - 0.75)).toBeLessThan(4 * Math.sqrt((0.75 * 0.25) / 4000));
    expect(drawn.some(([name]) => name === "c")).toBe(false);
  });

  test("with full randomness: a share of each model's number, from all of its layers, in a random order", () => {
    const slices = drawLayers([model("a", 0.5, 200), model("b", 0.25, 100)], 9, true);
    expect(slices.filter((slice) => slice.model === "a")).toHaveLength(100);
    expect(slices.filter((slice) => slice.model === "b")).toHaveLength(25);
    expect(slices.every(({ start, end }) => end === start + 1)).toBe(true);
    expect(Math.max(...slices.filter((slice) => slice.model === "a").map(({ start }) => start))).toBeGreaterThan(150);
    expect(slices.findIndex((slice) => slice.model === "b")).toBeLessThan(50);
  });

  test("of models that differ in depth need full randomness; some layer must be drawn", () => {
    expect(() => drawLayers([model("a", 1, 2), model("b", 1, 3)], 0, false)).toThrow("a 2, b 3");
    expect(() => drawLayers([model("a", 0)], 0, false)).toThrow("no layer can be drawn");
    expect(() => drawLayers([model("a", 0.01)], 0, true)).toThrow("no layer can be drawn");
  });

  test("make a configuration that stacks them", () => {
    const text = shuffleText([{ model: "./a", start: 0, end: 2 }], true);
    const config = readMergeConfig(text, "f.yml", { strict: true }, new Report());
    expect(config).toMatchObject({ mergeMethod: "passthrough", dtype: "F16" });
    expect(config.body).toMatchObject({ composition: { slices: [{ sources: [{ layerRange: [0, 2] }] }] } });
  });
});
