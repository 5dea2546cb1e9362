import { DTYPE_BYTES } from "../../src/model/dtype.ts";
import type { StoredTensor } from "../support/safetensors.ts";
import type { Expected, ExpectedTensor } from "./kit.ts";

/** Gate, up and down projections of one expert, and the router, as the families name them where experts lie apart. */
const NAMES = [
  { module: "block_sparse_moe", parts: ["w1", "w3", "w2"] },
  { module: "mlp", parts: ["gate_proj", "up_proj", "down_proj"] },
] as const;

/**
 * What the reference wrote with its packed experts taken apart, where our output has them apart: the reference packs
 * Mixtral's and Qwen3's, whatever the inputs do, and runtimes that read them one by one do not load that.
 */
export function unpacked(expected: Expected, ours: { has(tensor: string): boolean }): Expected {
  const tensors = new Map<string, ExpectedTensor>();
  for (const [name, tensor] of expected.tensors) {
    for (const [own, part] of ours.has(name) ? [[name, tensor] as const] : apart(name, tensor, ours)) {
      tensors.set(own, part);
    }
  }
  return { ...expected, tensors };
}

function apart(
  name: string,
  tensor: ExpectedTensor,
  ours: { has(tensor: string): boolean },
): (readonly [string, ExpectedTensor])[] {
  const [, layer, what] = /^(.*)\.mlp\.(experts\.gate_up_proj|experts\.down_proj|gate\.weight)$/.exec(name) ?? [];
  const names = NAMES.find(({ module, parts }) => ours.has(`${layer}.${module}.experts.0.${parts[0]}.weight`));
  if (layer === undefined || names === undefined) return [[name, tensor]];
  if (what === "gate.weight") return [[`${layer}.${names.module}.gate.weight`, tensor]];
  const [count = 0, rows = 0, columns = 0] = tensor.shape;
  const parts = what === "experts.gate_up_proj" ? names.parts.slice(0, 2) : names.parts.slice(2);
  const shape = [rows / parts.length, columns];
  return Array.from({ length: count }).flatMap((_, expert) =>
    parts.map((part, i) => {
      const stored = tensor.stored && piece(tensor.stored, expert * parts.length + i, shape);
      return [`${layer}.${names.module}.experts.${expert}.${part}.weight`, { ...tensor, shape, stored }] as const;
    }),
  );
}

/** The `index`-th of the pieces of this shape that a tensor consists of. */
function piece(stored: StoredTensor, index: number, shape: readonly number[]): StoredTensor {
  const size = shape.reduce((a, b) => a * b, DTYPE_BYTES[stored.dtype]);
  return { ...stored, shape, bytes: stored.bytes.subarray(index * size, (index + 1) * size) };
}
