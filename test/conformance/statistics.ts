import type { Statistics } from "./kit.ts";

/** Recorded over 30 seeds in float32: standard deviations below its rounding say nothing. */
const DEVIATIONS = 4;
const ROUNDING = 1e-5;

/** What is recorded of a tensor whose elements are random: how it differs from the base. */
export function statisticsOf(values: Float64Array, base: Float64Array): Record<keyof Statistics, number> {
  let [changed, l1, squares, sum] = [0, 0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const delta = (values[i] as number) - (base[i] as number);
    if (delta !== 0) changed++;
    l1 += Math.abs(delta);
    squares += delta ** 2;
    sum += delta;
  }
  return { changed_frac: changed / values.length, delta_l1: l1, delta_l2: Math.sqrt(squares), delta_sum: sum };
}

/** The first statistic that is more than four standard deviations from its recorded mean. */
export function statisticsFault(actual: Record<keyof Statistics, number>, recorded: Statistics): string | undefined {
  for (const [name, value] of Object.entries(actual) as [keyof Statistics, number][]) {
    const { mean, std } = recorded[name];
    const allowed = DEVIATIONS * std + ROUNDING * Math.max(Math.abs(mean), actual.delta_l1);
    if (!(Math.abs(value - mean) <= allowed)) {
      const off = ((value - mean) / std).toPrecision(3);
      return `${name} is ${value.toPrecision(5)}, ${off} standard deviations from ${mean.toPrecision(5)}`;
    }
  }
  return undefined;
}
