import { unpickle } from "../support/unpickle.ts";

/** What a pickled tensor says of itself. */
export interface TorchTensor {
  storage: { type: string; key: string; size: number };
  offset: number;
  shape: number[];
  strides: number[];
  dtype?: string;
}

/** The tensors of a `torch.save` pickle by name, as plain values. @throws where a safe reader would refuse it. */
export function readStateDict(bytes: Uint8Array): Map<string, TorchTensor> {
  return unpickle(bytes, { persistent, call }) as Map<string, TorchTensor>;
}

function persistent(id: unknown): TorchTensor["storage"] {
  const [kind, type, key, device, size] = id as [string, string, string, string, number];
  if (kind !== "storage" || device !== "cpu") throw new Error("not a storage on the CPU");
  return { type, key, size };
}

function call(callable: string, args: readonly unknown[]): unknown {
  if (callable === "collections.OrderedDict" && args.length === 0) return new Map();
  const [storage, offset, shape, strides, requiresGradient, , dtype] = args;
  const tensor = { storage, offset, shape, strides } as TorchTensor;
  if (requiresGradient !== false) throw new Error("the tensor requires a gradient");
  if (callable === "torch._utils._rebuild_tensor_v2" && args.length === 6) return tensor;
  if (callable === "torch._utils._rebuild_tensor_v3" && args.length === 7) return { ...tensor, dtype };
  throw new Error(`${callable} with ${args.length} arguments`);
}
