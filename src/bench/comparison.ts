import type { Addon } from "../native.ts";
import type { OpInput } from "../plan/types.ts";
import { measureAll } from "../run/measure.ts";
import type { RunEvents } from "../run/types.ts";

/** `count` elements of each of these tensors, the first of which the others are compared with. */
export interface Comparison {
  tensor: string;
  inputs: readonly OpInput[];
  count: number;
}

/** Inputs that one comparison takes: what native code has room for. */
export const MOST_INPUTS = 64;

/** Compares tensors natively. @returns the sums of `Addon.compare`, by comparison. Fails as `measureAll` does. */
export function compareAll(
  comparisons: readonly Comparison[],
  addon: Addon,
  signal: AbortSignal | undefined,
  events: RunEvents,
): Promise<Float64Array[]> {
  return measureAll(comparisons, ({ count }, inputs) => addon.compare({ ...inputs, count }), addon, signal, events);
}
