import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DTYPE_BYTES, type Dtype } from "../../src/model/dtype.ts";
import { tensorBytes } from "../../src/plan/place.ts";
import { torchShardBytes } from "../../src/plan/torch-layout.ts";
import type { MergeOp, MergePlan } from "../../src/plan/types.ts";
import { PATIENCE } from "../support/patience.ts";
import { anyOps, op, planLayout } from "./placeless.ts";
import { readStateDict, type TorchTensor } from "./read-pickle.ts";
import { readZip } from "./read-zip.ts";

/** The whole file with tensor `i` of the shard filled with the byte `i + 1`. */
function write(plan: MergePlan): Uint8Array {
  const shard = plan.shards[0];
  if (shard === undefined) throw new Error("no shard");
  const file = new Uint8Array(shard.size);
  const crcs = shard.ops.map((index, i) => {
    const tensor = plan.ops[index] as MergeOp;
    const bytes = new Uint8Array(tensorBytes(tensor)).fill(i + 1);
    file.set(bytes, tensor.offset);
    return Bun.hash.crc32(bytes);
  });
  for (const { offset, bytes } of torchShardBytes(plan, 0, crcs)) file.set(bytes, offset);
  return file;
}

const STORAGE: Partial<Record<Dtype, string>> = {
  F64: "torch.DoubleStorage",
  F32: "torch.FloatStorage",
  F16: "torch.HalfStorage",
  BF16: "torch.BFloat16Storage",
  I64: "torch.LongStorage",
  I32: "torch.IntStorage",
  I16: "torch.ShortStorage",
  I8: "torch.CharStorage",
  U8: "torch.ByteStorage",
  BOOL: "torch.BoolStorage",
};

describe("a torch file", () => {
  test("is an archive that says its format and byte order", () => {
    const entries = readZip(write(planLayout([op("a", "F32", [2, 3])], 0, "torch")));
    expect(entries.map(({ name }) => name)).toEqual([
      "archive/data.pkl",
      "archive/byteorder",
      "archive/version",
      "archive/data/0",
    ]);
    const text = (index: number) => new TextDecoder().decode(entries[index]?.bytes);
    expect(text(1)).toBe("little");
    expect(text(2)).toBe("3\n");
  });

  test("holds every tensor at a multiple of 64, with its storage, shape and strides in the pickle", () => {
    fc.assert(
      fc.property(anyOps, (ops) => {
        const plan = planLayout(ops, 0, "torch");
        const entries = readZip(write(plan));
        const tensors = readStateDict(entries[0]?.bytes as Uint8Array);
        expect([...tensors.keys()].toSorted()).toEqual(ops.map(({ tensor }) => tensor).toSorted());
        for (const { tensor, dtype, shape, offset } of plan.ops) {
          const read = tensors.get(tensor) as TorchTensor;
          const entry = entries.find(({ name }) => name === `archive/data/${read.storage.key}`);
          const elements = shape.reduce((a, b) => a * b, 1);
          expect(offset % 64).toBe(0);
          expect(entry?.dataOffset).toBe(offset);
          expect(entry?.bytes).toHaveLength(elements * DTYPE_BYTES[dtype]);
          expect(read.shape).toEqual([...shape]);
          expect(read.offset).toBe(0);
          const typed = STORAGE[dtype];
          expect(read.storage.type).toBe(typed ?? "torch.storage.UntypedStorage");
          expect(read.storage.size).toBe(typed === undefined ? elements * DTYPE_BYTES[dtype] : elements);
        }
      }),
    );
  });

  test("strides are row-major in elements, and unsigned integers carry their dtype", () => {
    const ops = [op("a", "F32", [2, 3, 4]), op("b", "U16", [5]), op("c", "BF16", [])];
    const entries = readZip(write(planLayout(ops, 0, "torch")));
    const tensors = readStateDict(entries[0]?.bytes as Uint8Array);
    expect(tensors.get("a")?.strides).toEqual([12, 4, 1]);
    expect(tensors.get("b")?.dtype).toBe("torch.uint16");
    expect(tensors.get("c")).toMatchObject({ shape: [], strides: [] });
  });

  test("its layout does not depend on the checksums", () => {
    const plan = planLayout([op("a", "F32", [2, 3]), op("b", "F16", [0])], 0, "torch");
    const places = (crcs: number[]) => torchShardBytes(plan, 0, crcs).map((p) => [p.offset, p.bytes.length]);
    expect(places([0, 0])).toEqual(places([0xffffffff, 1]));
  });
});

describe("beyond 4 GiB", () => {
  const wide = [op("first", "BF16", [3_000_000_000]), op("second", "F16", [1])];

  test("sizes and offsets stand in their 64-bit fields", () => {
    const plan = planLayout(wide, 0, "torch");
    const pieces = torchShardBytes(plan, 0, [1, 2]);
    const last = pieces.at(-1);
    expect((last?.offset ?? 0) + (last?.bytes.length ?? 0)).toBe(plan.shards[0]?.size as number);
    const places = readZip(pieces, plan.shards[0]?.size).map(({ name, size, dataOffset }) => ({
      name,
      size,
      dataOffset,
    }));
    expect(places.slice(3)).toEqual([
      { name: "archive/data/0", size: 6_000_000_000, dataOffset: plan.ops[0]?.offset as number },
      { name: "archive/data/1", size: 2, dataOffset: plan.ops[1]?.offset as number },
    ]);
    expect(plan.ops[1]?.offset).toBeGreaterThan(2 ** 32);
  });

  test("element counts beyond 2^31 fit the pickle", () => {
    const plan = planLayout(wide, 0, "torch");
    const pickle = torchShardBytes(plan, 0, [0, 0])[1]?.bytes as Uint8Array;
    const tensors = readStateDict(pickle);
    expect(tensors.get("first")).toMatchObject({ shape: [3_000_000_000], storage: { size: 3_000_000_000 } });
  });
});

test(
  "more entries than 16 bits count are all found",
  () => {
    const ops = Array.from({ length: 66_000 }, (_, i) => op(`t${i}`, "U8", [1]));
    expect(readZip(write(planLayout(ops, 0, "torch")))).toHaveLength(66_003);
  },
  PATIENCE,
);
