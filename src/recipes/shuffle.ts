import { writeYaml } from "../config/write-yaml.ts";
import { type Problem, SinterError } from "../errors.ts";
import { randomNumbers } from "./philox.ts";

/** A model whose layers are drawn from. */
export interface ShuffleModel {
  /** As a configuration names it. */
  name: string;
  layers: number;
  /** How often it is drawn, relative to the others; with `fullRandom`, its share of layers that go into the output. */
  weight: number;
}

/** Layers `[start, end)` of a model. */
export interface DrawnSlice {
  model: string;
  start: number;
  end: number;
}

/**
 * Draws the layers of a model from those of several.
 *
 * Usually layer `i` of the output is layer `i` of a model that is drawn by weight. With `fullRandom` each model gives
 * `trunc(weight × layers)` layers, each drawn from all of its own, and all of them are put in a random order.
 * @throws SinterError where no layer can be drawn.
 */
export function drawLayers(models: readonly ShuffleModel[], seed: number, fullRandom: boolean): DrawnSlice[] {
  checkModels(models, fullRandom);
  const random = randomNumbers(seed);
  return fullRandom ? drawAnywhere(models, random) : drawInPlace(models, random);
}

/** The configuration that stacks the layers. */
export function shuffleText(slices: readonly DrawnSlice[], fp16: boolean): string {
  return writeYaml({
    merge_method: "passthrough",
    slices: slices.map(({ model, start, end }) => ({ sources: [{ model, layer_range: [start, end] }] })),
    dtype: fp16 ? "float16" : undefined,
  });
}

function drawInPlace(models: readonly ShuffleModel[], random: () => number): DrawnSlice[] {
  const slices: DrawnSlice[] = [];
  for (let layer = 0; layer < (models[0] as ShuffleModel).layers; layer++) {
    const { name } = choose(models, random());
    const last = slices.at(-1);
    if (last?.model === name) slices[slices.length - 1] = { ...last, end: layer + 1 };
    else slices.push({ model: name, start: layer, end: layer + 1 });
  }
  return slices;
}

/** @param at where in the sum of the weights, from 0 to below 1. */
function choose(models: readonly ShuffleModel[], at: number): ShuffleModel {
  let left = at * models.reduce((sum, { weight }) => sum + weight, 0);
  for (const model of models) {
    if (left < model.weight) return model;
    left -= model.weight;
  }
  return models.findLast(({ weight }) => weight > 0) as ShuffleModel;
}

function drawAnywhere(models: readonly ShuffleModel[], random: () => number): DrawnSlice[] {
  const slices = models.flatMap(({ name, layers, weight }) =>
    Array.from({ length: Math.trunc(layers * weight) }, (): DrawnSlice => {
      const start = Math.floor(random() * layers);
      return { model: name, start, end: start + 1 };
    }),
  );
  // Fisher and Yates, from the end.
  for (let i = slices.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [slices[i], slices[j]] = [slices[j] as DrawnSlice, slices[i] as DrawnSlice];
  }
  return slices;
}

function checkModels(models: readonly ShuffleModel[], fullRandom: boolean): void {
  const problem = modelsProblem(models, fullRandom);
  if (problem !== undefined) throw new SinterError(problem);
}

function modelsProblem(models: readonly ShuffleModel[], fullRandom: boolean): Problem | undefined {
  const counts = new Set(models.map(({ layers }) => layers));
  if (!fullRandom && counts.size > 1) {
    return {
      code: "layer-count",
      message: `the models have different numbers of layers: ${models.map(({ name, layers }) => `${name} ${layers}`).join(", ")}`,
      hint: "--full-random draws layers of models that differ in depth",
    };
  }
  const drawn = models.some(({ layers, weight }) => (fullRandom ? Math.trunc(layers * weight) > 0 : weight > 0));
  if (drawn) return undefined;
  return { code: "no-layers", message: "no layer can be drawn: every model has weight 0, or a share below one layer" };
}
