import { afterAll, describe, expect, test } from "bun:test";
import { DTYPE_BYTES, type Dtype, type FloatDtype } from "../../src/model/dtype.ts";
import { type NativeOp, native } from "../../src/native.ts";
import { code, withOp } from "./failures.ts";
import { numbers, runOps, type Stored, sizesOf, stored, type WorkOp } from "./workbench.ts";

afterAll(() => native().configure({}));

interface View {
  shape: readonly number[];
  strides: readonly number[];
}

/** Elements of storage that a view reaches to. */
function extent({ shape, strides }: View): number {
  return shape.reduce((reach, size, i) => reach + (size - 1) * (strides[i] as number), 1);
}

/** The view's elements one after another, found one at a time. */
function contiguous({ bytes, dtype }: Stored, { shape, strides }: View): Uint8Array {
  const width = DTYPE_BYTES[dtype];
  const { count } = sizesOf(shape);
  const out = new Uint8Array(count * width);
  for (let i = 0; i < count; i++) {
    let rest = i;
    let element = 0;
    for (let d = shape.length - 1; d >= 0; d--) {
      element += (rest % (shape[d] as number)) * (strides[d] as number);
      rest = Math.floor(rest / (shape[d] as number));
    }
    out.set(bytes.subarray(element * width, (element + 1) * width), i * width);
  }
  return out;
}

/** The same op twice: its inputs as views, and gathered beforehand. */
function pair(
  views: readonly View[],
  op: Pick<WorkOp, "kernel" | "params" | "dtype">,
  dtypes: readonly FloatDtype[],
): WorkOp[] {
  const random = numbers(views.length);
  const sizes = sizesOf(views[0]?.shape ?? []);
  const storages = views.map((view, i) => stored(random.list(extent(view)), dtypes[i % dtypes.length] as FloatDtype));
  const strided = storages.map((storage, i) => {
    const { shape, strides } = views[i] as View;
    return { ...storage, layout: { sizes: shape, strides } };
  });
  const gathered = storages.map((storage, i) => ({ ...storage, bytes: contiguous(storage, views[i] as View) }));
  return [
    { ...op, ...sizes, inputs: strided },
    { ...op, ...sizes, inputs: gathered },
  ];
}

const TRANSPOSED: View = { shape: [700, 300], strides: [1, 700] };
const CUT: View = { shape: [700, 300], strides: [512, 1] };
const REPEATED: View = { shape: [700, 300], strides: [0, 1] };
const ONE: View = { shape: [700, 300], strides: [0, 0] };
const STEPPED: View = { shape: [700, 300], strides: [900, 3] };
const VIEWS = [TRANSPOSED, CUT, REPEATED, ONE, STEPPED];

describe("a view with strides gives the bytes that its elements one after another give", () => {
  test("linear of five, by any number of threads", async () => {
    const op = { kernel: "linear", params: [0.1, 0.2, 0.3, 0.4, -1], dtype: "BF16" } as const;
    for (const threads of [1, 3]) {
      native().configure({ threads });
      const [strided, plain] = await runOps(pair(VIEWS, op, ["F32", "BF16", "F16"]));
      expect(Buffer.compare(strided?.bytes as Uint8Array, plain?.bytes as Uint8Array)).toBe(0);
      expect(strided?.result.checksum).toBe(plain?.result.checksum as string);
    }
  });

  test.each([
    ["ties, which selects", { kernel: "ties", params: [1, 1, 0, 1, 0.4], dtype: "F32" }, [TRANSPOSED, CUT]],
    ["slerp, which sums", { kernel: "slerp", params: [0.3], dtype: "F64" }, [STEPPED, TRANSPOSED]],
    [
      "della, which ranks rows",
      { kernel: "della_linear", params: [1, 0, 0, 1, 0.5, 0.1], dtype: "BF16" },
      [CUT, TRANSPOSED],
    ],
  ] as const)("%s", async (_, op, views) => {
    const [strided, plain] = await runOps(pair(views, op, ["F32"]));
    expect(Buffer.compare(strided?.bytes as Uint8Array, plain?.bytes as Uint8Array)).toBe(0);
  });

  test.each(["F64", "I32", "BF16", "BOOL"] as const)("copies of %s, of any number of dimensions", async (dtype) => {
    const views: View[] = [
      { shape: [], strides: [] },
      { shape: [1, 1], strides: [5, 9] },
      { shape: [7], strides: [3] },
      { shape: [3, 1, 4], strides: [1, 77, 3] },
      { shape: [2, 3, 2, 5], strides: [30, 1, 15, 3] },
      { shape: [2, 2, 2, 2, 2, 2], strides: [1, 2, 4, 8, 16, 32] },
      { shape: [600, 500], strides: [1, 600] },
      { shape: [3, 0, 2], strides: [9, 1, 4] },
    ];
    const ops = views.map((view): WorkOp => {
      const { count, rows, columns } = sizesOf(view.shape);
      const elements = count === 0 ? 0 : extent(view);
      const bytes = Uint8Array.from({ length: elements * DTYPE_BYTES[dtype as Dtype] }, (_, i) => (i * 31) % 251);
      const layout = { sizes: view.shape, strides: view.strides };
      return { kernel: "copy", inputs: [{ bytes, dtype, layout }], dtype, count, rows, columns };
    });
    const outcomes = await runOps(ops);
    for (const [i, { bytes }] of outcomes.entries()) {
      const input = ops[i]?.inputs[0] as Stored;
      expect([...bytes]).toEqual([...contiguous(input, views[i] as View)]);
    }
  });
});

describe("a wrong layout is refused", () => {
  test.each([
    ["that reaches one element beyond the source", { sizes: [250], strides: [2] }],
    ["whose reach overflows", { sizes: [250], strides: [2 ** 53 - 1] }],
    ["with other elements than the op", { sizes: [249], strides: [1] }],
    ["whose sizes overflow", { sizes: [2 ** 52, 2 ** 52], strides: [0, 0] }],
    ["with a stride too few", { sizes: [250], strides: [] }],
    ["with a negative stride", { sizes: [250], strides: [-1] }],
    ["with 65 dimensions", { sizes: [250, ...Array(64).fill(1)], strides: Array(65).fill(1) }],
    ["that is no layout", 5],
  ])("%s", async (_, layout) => {
    await withOp(async (op) => {
      const inputs = op.inputs.map((input) => ({ ...input, layout }));
      expect(await code(() => native().merge({ ...op, inputs } as NativeOp))).toBe("BAD_ARGUMENT");
    });
  });
});
