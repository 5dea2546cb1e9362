import type { Problem } from "../errors.ts";
import type { NativeResult } from "../native.ts";

/** What native code said of an op. */
export interface OpResult extends NativeResult {
  /** It was chosen for a device, and none took it. */
  unfit?: boolean;
}

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
    message: `${reason}: ${tensorsWere(tensors)} computed elsewhere, with the same bytes`,
    hint: `${lessMemory(reason)} limits what is taken; --device cpu leaves the GPU alone`,
  }));
}

/** The option that makes less be taken of the memory that a device found missing: its own, or the host's. */
export function lessMemory(reason: string): "--memory-gpu" | "--low-cpu-memory" {
  return /pinned memory|out of host memory/.test(reason) ? "--low-cpu-memory" : "--memory-gpu";
}

/** What was chosen for a device, and computed by the CPU though no device failed at it. */
export function unfitWarnings(results: readonly OpResult[]): Problem[] {
  const count = results.filter(({ unfit }) => unfit).length;
  if (count === 0) return [];
  const lost = results.some(({ returned }) => returned?.includes(": lost"));
  const reason = lost
    ? "no GPU was left, or they did not fit there"
    : "too large for the memory that may be taken of a GPU";
  return [
    {
      code: "device-unfit",
      message: `${tensorsWere(count)} computed by the CPU, with the same bytes: ${reason}`,
      hint: "allow more with --memory-gpu, or end what else takes the GPU's memory",
    },
  ];
}

const tensorsWere = (count: number) => (count === 1 ? "1 tensor was" : `${count} tensors were`);
