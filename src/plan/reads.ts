import { factorsOf } from "../model/patch.ts";
import type { TensorFactor } from "../model/types.ts";
import type { OpInput } from "./types.ts";

/** Every factor of what adapters change in an input, in the order in which native code is given them. */
export function inputFactors({ view, gather }: Pick<OpInput, "view" | "gather">): TensorFactor[] {
  return gather === undefined ? factorsOf(view) : gather.pieces.flatMap((piece) => factorsOf(piece.view));
}

/** The files that an input's numbers come from, adapters' included; one may be there twice. */
export function filesOf(input: Pick<OpInput, "view" | "gather">): string[] {
  const { view, gather } = input;
  // Nearly all inputs of a plan of hundreds of thousands.
  if (gather === undefined && view.patches === undefined) return [view.file];
  const pieces = gather?.pieces.map((piece) => piece.view.file) ?? [];
  return [view.file, ...pieces, ...inputFactors(input).map(({ file }) => file)];
}

/** The files that ops read, each once, in the order in which they come up. */
export function filesRead(ops: Iterable<{ inputs: readonly Pick<OpInput, "view" | "gather">[] }>): Set<string> {
  const files = new Set<string>();
  for (const { inputs } of ops) {
    for (const input of inputs) for (const file of filesOf(input)) files.add(file);
  }
  return files;
}
