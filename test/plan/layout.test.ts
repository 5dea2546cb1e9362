import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DTYPE_BYTES } from "../../src/model/dtype.ts";
import { tensorBytes } from "../../src/plan/place.ts";
import { safetensorsHeader } from "../../src/plan/safetensors-layout.ts";
import type { MergeOp, MergePlan, ShardPlan } from "../../src/plan/types.ts";
import { expectInProportion } from "../support/growth.ts";
import { anyOps, op, planLayout } from "./placeless.ts";

const names = (plan: MergePlan) => plan.shards.map((shard) => shard.ops.map((index) => plan.ops[index]?.tensor));
const opsOf = (plan: MergePlan, shard: ShardPlan) => shard.ops.map((index) => plan.ops[index] as MergeOp);

describe("shards", () => {
  test("tensors fill a file until one more would exceed its size", () => {
    const ops = [op("a", "F32", [10]), op("b", "F32", [10]), op("c", "F32", [10])];
    expect(names(planLayout(ops, 80))).toEqual([["a", "b"], ["c"]]);
    expect(names(planLayout(ops, 79))).toEqual([["a"], ["b"], ["c"]]);
  });

  test("a tensor larger than a file goes alone", () => {
    const ops = [op("a", "F32", [1]), op("b", "F32", [100]), op("c", "F32", [1])];
    expect(names(planLayout(ops, 40))).toEqual([["a"], ["b"], ["c"]]);
  });

  test("a size of 0 means one file", () => {
    expect(planLayout([op("a", "F32", [10]), op("b", "F32", [10])], 0).shards).toHaveLength(1);
  });

  test("one file has the plain name and no index", () => {
    const plan = planLayout([op("a", "F32", [10])]);
    expect(plan.shards[0]?.file).toBe("model.safetensors");
    expect(plan.index).toBeUndefined();
    expect(planLayout([op("a", "F32", [10])], 0, "torch").shards[0]?.file).toBe("pytorch_model.bin");
  });

  test("several files are numbered, and the index names the file of each tensor, sorted", () => {
    const ops = [op("z", "F32", [10]), op("a", "BF16", [3])];
    const plan = planLayout(ops, 1);
    expect(plan.shards.map(({ file }) => file)).toEqual([
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
    ]);
    expect(plan.index?.name).toBe("model.safetensors.index.json");
    expect(plan.index?.text).toBe(
      '{\n  "metadata": {\n    "total_size": 46\n  },\n  "weight_map": {\n' +
        '    "a": "model-00002-of-00002.safetensors",\n    "z": "model-00001-of-00002.safetensors"\n  }\n}\n',
    );
    const torch = planLayout(ops, 1, "torch");
    expect(torch.shards[1]?.file).toBe("pytorch_model-00002-of-00002.bin");
    expect(torch.index?.name).toBe("pytorch_model.bin.index.json");
  });

  test("names that look like numbers stay in the order of the others", () => {
    const plan = planLayout([op("b", "F32", [1]), op("10", "F32", [1]), op("9", "F32", [1])], 1);
    expect(Object.keys(JSON.parse(plan.index?.text ?? "").weight_map)).toHaveLength(3);
  });
});

describe("the place of tensors in a safetensors file", () => {
  test("wider dtypes come first, equals in their order", () => {
    const ops = [
      op("a", "U8", [3]),
      op("b", "BF16", [3]),
      op("c", "F64", [2]),
      op("d", "F16", [1]),
      op("e", "I64", [1]),
    ];
    expect(names(planLayout(ops))).toEqual([["c", "e", "b", "d", "a"]]);
  });

  test("no bytes lie between tensors, whose starts are multiples of their element size", () => {
    fc.assert(
      fc.property(anyOps, fc.nat(200), (ops, size) => {
        const plan = planLayout(ops, size);
        for (const [index, shard] of plan.shards.entries()) {
          let offset = safetensorsHeader(plan, index).length;
          expect(offset % 64).toBe(0);
          for (const tensor of opsOf(plan, shard)) {
            expect(tensor.shard).toBe(index);
            expect(tensor.offset).toBe(offset);
            expect(tensor.offset % DTYPE_BYTES[tensor.dtype]).toBe(0);
            offset += tensorBytes(tensor);
          }
          expect(shard.size).toBe(offset);
        }
      }),
    );
  });

  test("every tensor is in exactly one file, files in the order of the tensors, none too large", () => {
    fc.assert(
      fc.property(anyOps, fc.integer({ min: 1, max: 200 }), (ops, size) => {
        const plan = planLayout(ops, size);
        expect(plan.ops.map(({ tensor }) => tensor)).toEqual(ops.map(({ tensor }) => tensor));
        const order = plan.shards.flatMap((shard) => shard.ops.toSorted((a, b) => a - b));
        expect(order).toEqual(ops.map((_, index) => index));
        for (const shard of plan.shards) {
          const bytes = opsOf(plan, shard).reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
          expect(bytes <= size || shard.ops.length === 1).toBe(true);
        }
      }),
    );
  });

  test("the header parses back to the same tensors", () => {
    fc.assert(
      fc.property(anyOps, (ops) => {
        const plan = planLayout(ops);
        const bytes = safetensorsHeader(plan, 0);
        expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(BigInt(bytes.length - 8));
        const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8));
        expect(text).toMatch(/^\{"__metadata__":\{"format":"pt"\}.*\} *$/s);
        const { __metadata__, ...tensors } = JSON.parse(text);
        expect(__metadata__).toEqual({ format: "pt" });
        expect(Object.keys(tensors).toSorted()).toEqual(ops.map(({ tensor }) => tensor).toSorted());
        for (const { tensor, dtype, shape, offset } of plan.ops) {
          const start = offset - bytes.length;
          const end = start + tensorBytes({ dtype, shape });
          expect(tensors[tensor]).toEqual({ dtype, shape, data_offsets: [start, end] });
        }
      }),
    );
  });
});

test("100,000 tensors take time in proportion", () => {
  expectInProportion(100_000, (length) => {
    const ops = Array.from({ length }, (_, i) => op(`layers.${i}.q_proj.weight`, "BF16", [64, 64]));
    return () => safetensorsHeader(planLayout(ops, 1000 * length), 0);
  });
});
