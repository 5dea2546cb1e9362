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
  const pieces = gather?.pieces.map((piece) => piece.view.file) ?? [];
  return [view.file, ...pieces, ...inputFactors(input).map(({ file }) => file)];
}
