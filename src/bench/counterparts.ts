import { join } from "node:path";
import { isFloat } from "../model/dtype.ts";
import { elementCount } from "../model/types.ts";
import type { MergeOp, MergePlan, OpInput } from "../plan/types.ts";
import { type Part, partOf } from "./parts.ts";

/** A weight as the reference and each model have it. Only floats: nothing else is merged. */
export interface Counterparts {
  /** Name in an output. */
  tensor: string;
  part: Part;
  shape: readonly number[];
  elements: number;
  reference: OpInput;
  /** One for each model, in their order. */
  models: readonly OpInput[];
}

/** A tensor of an output beside its counterparts in the models. */
export interface OutputTensor {
  counterparts: Counterparts;
  output: OpInput;
}

/**
 * The tensors of all models that belong together.
 * @param plan merges the reference (where that is a base) and all models, in this order.
 * @param models how many models there are.
 */
export function readCounterparts(plan: MergePlan, models: number): Counterparts[] {
  return plan.ops
    .filter((op) => isFloat(op.dtype))
    .map(({ tensor, shape, inputs }) => ({
      tensor,
      part: partOf(tensor),
      shape,
      elements: elementCount(shape),
      reference: inputs[0] as OpInput,
      models: inputs.slice(inputs.length - models),
    }));
}

/**
 * What a plan writes into `folder`, beside its counterparts.
 * @returns also the names of float tensors that have none of their shape: a plan over fewer models may keep rows of an
 *   embedding that not all models have, and then the rows that all have are compared.
 */
export function matchOutput(
  plan: MergePlan,
  folder: string,
  counterparts: readonly Counterparts[],
): { tensors: OutputTensor[]; unmatched: string[] } {
  const byName = new Map(counterparts.map((entry) => [entry.tensor, entry]));
  const tensors: OutputTensor[] = [];
  const unmatched: string[] = [];
  for (const op of plan.ops) {
    if (!isFloat(op.dtype)) continue;
    const entry = byName.get(op.tensor);
    if (entry !== undefined && holds(op.shape, entry.shape)) {
      tensors.push({ counterparts: entry, output: outputInput(op, plan, folder) });
    } else unmatched.push(op.tensor);
  }
  return { tensors, unmatched };
}

/** Whether the first elements of a tensor of one shape are a tensor of the other: equal but for surplus rows. */
function holds(shape: readonly number[], inner: readonly number[]): boolean {
  const [rows = 1, ...rest] = shape;
  const [innerRows = 1, ...innerRest] = inner;
  return rows >= innerRows && rest.length === innerRest.length && rest.every((size, i) => size === innerRest[i]);
}

function outputInput(op: MergeOp, plan: MergePlan, folder: string): OpInput {
  const { tensor, offset, dtype, shape } = op;
  const file = join(folder, plan.shards[op.shard]?.file ?? "");
  return { view: { file, offset, dtype, shape }, model: `output of ${plan.method}`, tensor, position: 0 };
}
