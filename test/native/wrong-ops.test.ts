import { describe, expect, test } from "bun:test";
import { type NativeOp, native } from "../../src/native.ts";
import { code, failure, withOp } from "./failures.ts";

const addon = native();

type Spoil = (op: NativeOp) => object;

describe("a wrong op is refused", () => {
  const input = (op: NativeOp, change: object) => ({ inputs: [op.inputs[0], { ...op.inputs[1], ...change }] });
  const wrong: Record<string, Spoil> = {
    "an unknown kernel": () => ({ kernel: "blorp" }),
    "too few numbers": () => ({ params: [1] }),
    "too many numbers": () => ({ params: [1, 1, 1] }),
    "numbers that are text": () => ({ params: ["1", 1] }),
    "no inputs": () => ({ inputs: [], params: [] }),
    "65 inputs": (op) => ({ inputs: Array(65).fill(op.inputs[0]), params: Array(65).fill(1) }),
    "one input to slerp": (op) => ({ kernel: "slerp", inputs: [op.inputs[0]], params: [0.5] }),
    "three inputs to slerp": (op) => ({ kernel: "slerp", inputs: [...op.inputs, op.inputs[0]], params: [0.5] }),
    "ties without a model": (op) => ({ kernel: "ties", inputs: [op.inputs[0]], params: [1, 1, 0] }),
    "ties without a weight": () => ({ kernel: "ties", params: [1, 1, 0, 1] }),
    "two inputs to copy": () => ({ kernel: "copy", params: [] }),
    "copy to another dtype": (op) => ({ kernel: "copy", inputs: [op.inputs[0]], params: [], dtype: "BF16" }),
    "an input one element too far": (op) => input(op, { offset: 4 }),
    "an input beyond the file": (op) => input(op, { offset: 2000 }),
    "an input whose end overflows": (op) => ({ ...input(op, { offset: 2 ** 53 - 1 }), count: 2 ** 52 }),
    "a negative offset": (op) => input(op, { offset: -4 }),
    "a fractional offset": (op) => input(op, { offset: 0.5 }),
    "an offset that is NaN": (op) => input(op, { offset: Number.NaN }),
    "an offset beyond 2^53": (op) => input(op, { offset: 2 ** 53 }),
    "an offset that is text": (op) => input(op, { offset: "0" }),
    "a bigint offset": (op) => input(op, { offset: 0n }),
    "a wider dtype than there are bytes for": (op) => input(op, { dtype: "F64" }),
    "an unknown dtype": (op) => input(op, { dtype: "F8_E4M3" }),
    "integers to be averaged": (op) => input(op, { dtype: "I32" }),
    "an integer output": () => ({ dtype: "I32" }),
    "an unknown output dtype": () => ({ dtype: "float32" }),
    "a handle never given": (op) => input(op, { source: 999_999 }),
    "a sink as a source": (op) => input(op, { source: op.sink }),
    "a source as a sink": (op) => ({ sink: op.inputs[0]?.source }),
    "a place beyond the sink": () => ({ offset: 1 }),
    "a fractional place": () => ({ offset: 0.25 }),
    "a fractional count": () => ({ count: 2.5 }),
    "a negative count": () => ({ count: -1 }),
    "a count whose bytes overflow": () => ({ count: 2 ** 52 }),
    "fractional rows": () => ({ rows: 1.5 }),
    "rows that do not divide the elements": () => ({ rows: 7 }),
    "columns that do not divide the elements": () => ({ columns: 7 }),
    "no columns of some elements": () => ({ columns: 0 }),
    "columns that are not given": () => ({ columns: undefined }),
    "a negative seed": () => ({ seed: -1 }),
    "a name that is no text": () => ({ tensor: 7 }),
    "inputs that are no list": () => ({ inputs: {} }),
    "an input that is nothing": (op) => ({ inputs: [op.inputs[0], undefined] }),
  };

  test.each(Object.entries(wrong))("%s", async (_, spoil) => {
    await withOp(async (op) => {
      const found = await failure(() => addon.merge({ ...op, ...spoil(op) } as NativeOp));
      expect(found?.code).toBe("BAD_ARGUMENT");
      expect(found?.message).toMatch(/\w{3}/);
      // What is right still works.
      expect(await code(() => addon.merge(op))).toBeUndefined();
    });
  });

  test("nothing at all", async () => {
    for (const nothing of [undefined, null, 5, "op", {}, []]) {
      expect(await code(() => addon.merge(nothing as unknown as NativeOp))).toBe("BAD_ARGUMENT");
    }
  });
});
