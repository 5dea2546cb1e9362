import { expect, test } from "bun:test";
import { stridedRows } from "../../src/model/strided-rows.ts";
import type { TensorView } from "../../src/model/types.ts";

const view: TensorView = { file: "m.bin", offset: 0, dtype: "F32", shape: [2, 3] };
const problem = (changed: Partial<TensorView>) =>
  stridedRows({ view: { ...view, ...changed }, tensor: "w", model: "m" }, "a merge by token");

test("rows are taken of tensors whose elements lie one after another, and others are named", () => {
  expect(problem({})).toBeUndefined();
  expect(problem({ patches: [] })).toBeUndefined();
  expect(problem({ strides: [1, 2] })).toMatchObject({ code: "strided-view", tensor: "w", model: "m" });
});
