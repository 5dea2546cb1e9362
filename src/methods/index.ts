import { nearest, type Position, type Problem } from "../errors.ts";
import { linear } from "./linear.ts";
import { passthrough } from "./passthrough.ts";
import { slerp } from "./slerp.ts";
import { dareLinear, dareTies, taskArithmetic, ties } from "./task-vector.ts";
import type { MergeMethod } from "./types.ts";

/** Every merge method, in the order in which they are listed. */
export const methods: readonly MergeMethod[] = [passthrough, linear, slerp, taskArithmetic, ties, dareLinear, dareTies];

/** mergekit's methods that Sinter does not have yet. */
export const laterMethods: readonly string[] = [
  "arcee_fusion",
  "breadcrumbs",
  "breadcrumbs_ties",
  "della",
  "della_linear",
  "karcher",
  "model_stock",
  "multislerp",
  "nearswap",
  "nuslerp",
  "ram",
  "ramplus_tl",
  "sce",
];

export function findMethod(name: string): MergeMethod | undefined {
  return methods.find((method) => method.name === name);
}

/** Why there is no method of that name: `not-yet` for one that is known, else `unknown-method`. */
export function methodProblem(name: string, at: Position): Problem {
  const available = `available: ${methods.map((method) => method.name).join(", ")}`;
  if (laterMethods.includes(name)) {
    return { code: "not-yet", message: `the merge method ${name} is not available yet`, at, hint: available };
  }
  const close = nearest(name, [...methods.map((method) => method.name), ...laterMethods]);
  return {
    code: "unknown-method",
    message: `unknown merge method ${JSON.stringify(name)}`,
    at,
    hint: close === undefined ? available : `did you mean ${close}? ${available}`,
  };
}
