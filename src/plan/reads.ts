import { factorsOf } from "../model/patch.ts";
import type { OpInput } from "./types.ts";

/** The files that an input's numbers come from, adapters' included; one may be there twice. */
export function filesOf({ view, gather }: Pick<OpInput, "view" | "gather">): string[] {
  const pieces = gather?.pieces.map((piece) => piece.view.file) ?? [];
  return [view.file, ...pieces, ...factorsOf(view).map(({ file }) => file)];
}
