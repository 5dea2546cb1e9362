import { nearest, type Position, type Problem } from "../errors.ts";
import { arceeFusion } from "./arcee-fusion.ts";
import { karcher } from "./karcher.ts";
import { linear } from "./linear.ts";
import { modelStock } from "./model-stock.ts";
import { multislerp } from "./multislerp.ts";
import { nearswap } from "./nearswap.ts";
import { nuslerp } from "./nuslerp.ts";
import { passthrough } from "./passthrough.ts";
import { ram, ramPlus } from "./ram.ts";
import { sce } from "./sce.ts";
import { slerp } from "./slerp.ts";
import {
  breadcrumbs,
  breadcrumbsTies,
  dareLinear,
  dareTies,
  della,
  dellaLinear,
  taskArithmetic,
  ties,
} from "./task-vector.ts";
import type { MergeMethod } from "./types.ts";

/** Every merge method, in the order in which they are listed. */
export const methods: readonly MergeMethod[] = [
  passthrough,
  linear,
  slerp,
  nuslerp,
  multislerp,
  karcher,
  modelStock,
  taskArithmetic,
  ties,
  dareLinear,
  dareTies,
  breadcrumbs,
  breadcrumbsTies,
  dellaLinear,
  della,
  sce,
  ram,
  ramPlus,
  nearswap,
  arceeFusion,
];

export function findMethod(name: string): MergeMethod | undefined {
  return methods.find((method) => method.name === name);
}

/** Why there is no method of that name. */
export function methodProblem(name: string, at: Position): Problem {
  const names = methods.map((method) => method.name);
  const available = `available: ${names.join(", ")}`;
  const close = nearest(name, names);
  return {
    code: "unknown-method",
    message: `unknown merge method ${JSON.stringify(name)}`,
    at,
    hint: close === undefined ? available : `did you mean ${close}? ${available}`,
  };
}
