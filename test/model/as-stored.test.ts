import { expect, test } from "bun:test";
import { notAsStored } from "../../src/model/as-stored.ts";
import type { TensorView } from "../../src/model/types.ts";

const view: TensorView = { file: "m.bin", offset: 0, dtype: "F32", shape: [2, 3] };
const problem = (changed: Partial<TensorView>) =>
  notAsStored({ view: { ...view, ...changed }, tensor: "w", model: "m" }, "a forward pass");

test("a step that reads tensors as they are stored refuses strides and adapters, and names the tensor", () => {
  expect(problem({})).toBeUndefined();
  expect(problem({ strides: [1, 2] })).toMatchObject({ code: "strided-view", tensor: "w", model: "m" });
  expect(problem({ patches: [] })).toMatchObject({ code: "adapter-here", tensor: "w", model: "m" });
});
