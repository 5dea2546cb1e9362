/** What a pickled tensor says of itself. */
export interface TorchTensor {
  storage: { type: string; key: string; size: number };
  offset: number;
  shape: number[];
  strides: number[];
  dtype?: string;
}

const MARK = Symbol("mark");

/** Runs the opcodes of a `torch.save` pickle on a stack, with tensors as plain values. */
export function readPickle(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const stack: unknown[] = [];
  let at = 0;
  const popMark = () => stack.splice(stack.lastIndexOf(MARK)).slice(1);
  const line = () => {
    const start = at;
    while (bytes[at] !== 0x0a) at++;
    return new TextDecoder().decode(bytes.subarray(start, at++));
  };
  for (;;) {
    const opcode = String.fromCharCode(bytes[at++] as number);
    if (opcode === ".") return stack.pop();
    else if (opcode === "\x80") at++;
    else if (opcode === "}") stack.push(new Map());
    else if (opcode === "(") stack.push(MARK);
    else if (opcode === ")") stack.push([]);
    else if (opcode === "t") stack.push(popMark());
    else if (opcode === "\x89") stack.push(false);
    else if (opcode === "K") stack.push(bytes[at++]);
    else if (opcode === "J") {
      stack.push(view.getInt32(at, true));
      at += 4;
    } else if (opcode === "\x8a") {
      if (bytes[at++] !== 8) throw new Error("a long of another length than 8");
      stack.push(Number(view.getBigInt64(at, true)));
      at += 8;
    } else if (opcode === "X") {
      const length = view.getUint32(at, true);
      stack.push(new TextDecoder().decode(bytes.subarray(at + 4, at + 4 + length)));
      at += 4 + length;
    } else if (opcode === "c") stack.push(`${line()}.${line()}`);
    else if (opcode === "Q") stack.push(storage(stack.pop() as unknown[]));
    else if (opcode === "R") {
      const args = stack.pop() as unknown[];
      stack.push(call(stack.pop() as string, args));
    } else if (opcode === "u") {
      const items = popMark();
      const map = stack.at(-1) as Map<unknown, unknown>;
      for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
    } else throw new Error(`opcode ${opcode} at ${at - 1}`);
  }
}

function storage([kind, type, key, device, size]: unknown[]): TorchTensor["storage"] {
  if (kind !== "storage" || device !== "cpu") throw new Error("not a storage on the CPU");
  return { type: type as string, key: key as string, size: size as number };
}

function call(callable: string, args: unknown[]): unknown {
  if (callable === "collections.OrderedDict") return new Map();
  const tensor = {
    storage: args[0],
    offset: args[1],
    shape: args[2],
    strides: args[3],
  } as TorchTensor;
  if (args[4] !== false) throw new Error("the tensor requires a gradient");
  if (callable === "torch._utils._rebuild_tensor_v2" && args.length === 6) return tensor;
  if (callable === "torch._utils._rebuild_tensor_v3" && args.length === 7) {
    return { ...tensor, dtype: args[6] as string };
  }
  throw new Error(`${callable} with ${args.length} arguments`);
}
