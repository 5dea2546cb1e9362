import { expect, test } from "bun:test";
import { SinterError } from "../../src/errors.ts";
import { contiguous } from "../../src/model/contiguous.ts";

test("a view with strides is refused where elements are read one after another", () => {
  const view = { file: "m.bin", offset: 0, dtype: "F32", shape: [2, 3] } as const;
  expect(contiguous(view)).toBe(view);
  expect(() => contiguous({ ...view, strides: [1, 2] })).toThrow(SinterError);
});
