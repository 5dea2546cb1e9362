import type { Problem } from "../errors.ts";
import type { NativeResult } from "../native.ts";

/** What computed a plan's ops: devices as `cuda:0 (name)`, then `cpu`, each with its number of tensors. */
export function computedOn(results: readonly Partial<NativeResult>[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { device = "cpu" } of results) counts.set(device, (counts.get(device) ?? 0) + 1);
  return new Map([...counts].toSorted(([a], [b]) => Number(a === "cpu") - Number(b === "cpu") || (a < b ? -1 : 1)));
}

/** Bytes of inputs that were read straight into devices' memory. */
export function directBytes(results: readonly NativeResult[]): number {
  return results.reduce((sum, { directBytes = 0 }) => sum + directBytes, 0);
}

/** What devices gave up, a warning for each thing that they said. */
export function returnedWarnings(results: readonly NativeResult[]): Problem[] {
  const counts = new Map<string, number>();
  for (const { returned } of results) {
    if (returned !== undefined) counts.set(returned, (counts.get(returned) ?? 0) + 1);
  }
  return [...counts].map(([reason, tensors]) => ({
    code: "device-returned",
    message: `${reason}: ${tensors} ${tensors === 1 ? "tensor was" : "tensors were"} computed elsewhere, with the same bytes`,
    hint: "--memory-gpu limits what is taken of a GPU; --device cpu leaves it alone",
  }));
}
