import { describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { FLOAT_DTYPES } from "../oracle/dtype.ts";
import { expectOracle, outputsOf } from "./against-oracle.ts";
import { code, withOp } from "./failures.ts";
import { family, runOps, stored, type WorkOp } from "./workbench.ts";

/** Sizes around chunks of 1024 elements, and odd ones that no chunk is aligned to within the output. */
const SIZES = [0, 1, 3, 7, 33, 1023, 1024, 1025, 2500];

/** Pieces of `each` elements, their dtypes in turn. */
function pieces(
  count: number,
  each: number,
  dtypes: readonly FloatDtype[],
  scales: (piece: number) => readonly [factor: number, noise: number],
): Pick<WorkOp, "inputs" | "params" | "count" | "elements"> {
  const values = family(each, count - 1, 7 * each + count);
  return {
    inputs: values.map((own, i) => stored(own, dtypes[i % dtypes.length] as FloatDtype, 3 * i)),
    params: values.flatMap((_, i) => scales(i)),
    count: count * each,
    elements: each,
  };
}

describe("assemble", () => {
  test("puts pieces of any size and dtype one behind the other", async () => {
    const ops = SIZES.flatMap((each) =>
      FLOAT_DTYPES.map((dtype, i) => ({
        kernel: "assemble",
        dtype,
        ...pieces(1 + ((each + i) % 5), each, ["BF16", "F32", "F16"], (piece) => [
          [1, 0.5, -2][piece % 3] as number,
          0,
        ]),
      })),
    );
    await expectOracle(ops);
  });

  test("adds noise to each piece before its factor is applied", async () => {
    const ops = SIZES.flatMap((each) =>
      FLOAT_DTYPES.map((dtype) => ({
        kernel: "assemble",
        dtype,
        seed: each,
        tensor: `model.layers.${each}.mlp.experts.gate_up_proj`,
        ...pieces(3, each, ["BF16", "F32"], (piece) => [1 - 0.25 * piece, 0.1 * piece]),
      })),
    );
    await expectOracle(ops);
  });

  test("gives a piece the same noise wherever it lies", async () => {
    const whole = pieces(3, 1500, ["F32"], () => [1, 0.01]);
    const alone = whole.inputs.map(
      (input, i): WorkOp => ({
        kernel: "assemble",
        dtype: "F32",
        inputs: [input],
        params: whole.params?.slice(2 * i, 2 * i + 2) ?? [],
        count: 1500,
        elements: 1500,
      }),
    );
    const [all, ...single] = await outputsOf([{ kernel: "assemble", dtype: "F32", ...whole }, ...alone]);
    expect(single.flatMap((values) => [...values])).toEqual([...(all as Float64Array)]);
  });

  test("moves a piece bit by bit where nothing changes it, a NaN's payload included", async () => {
    const bytes = new Uint8Array(new Uint32Array([0x7fc12345, 0x3f800000, 0xff800000]).buffer);
    const [outcome] = await runOps([
      { kernel: "assemble", dtype: "F32", inputs: [{ bytes, dtype: "F32" }], params: [1, 0], count: 3, elements: 3 },
    ]);
    expect([...(outcome?.bytes ?? [])]).toEqual([...bytes]);
    expect(outcome?.result.nonFinite).toEqual([true]);
  });

  test("says which pieces hold a NaN or an infinity", async () => {
    const inputs = [
      [1, 2],
      [Number.NaN, 1],
      [3, 4],
      [1, Number.NEGATIVE_INFINITY],
    ].map((own) => stored(own, "F32"));
    const params = [1, 0, 2, 0, 2, 0, 1, 0];
    const [outcome] = await runOps([{ kernel: "assemble", dtype: "F32", inputs, params, count: 8, elements: 2 }]);
    expect(outcome?.result.nonFinite).toEqual([false, true, false, true]);
  });

  test("is the same on every block of output", async () => {
    await expectOracle([
      { kernel: "assemble", dtype: "F32", ...pieces(2, 700_001, ["BF16", "F32"], (i) => [1 - i / 2, 0]) },
    ]);
  });
});

describe("tensors without an input", () => {
  const OPS: readonly Pick<WorkOp, "kernel" | "params">[] = [
    { kernel: "constant", params: [0] },
    { kernel: "constant", params: [-1.5] },
    { kernel: "normal", params: [1] },
    { kernel: "normal", params: [0.02] },
    { kernel: "uniform", params: [-0.125, 0.125] },
  ];

  test("are what the oracle makes", async () => {
    const ops = OPS.flatMap((op) =>
      SIZES.flatMap((count) =>
        FLOAT_DTYPES.map((dtype) => ({ ...op, inputs: [], dtype, count, seed: 3, tensor: `w${count}` })),
      ),
    );
    await expectOracle(ops);
  });

  test("hold the numbers that are given, rounded once", async () => {
    const params = [1, 1 + 2 ** -9, -0.3, 1e-40, 3e38, 0];
    await expectOracle(FLOAT_DTYPES.map((dtype) => ({ kernel: "literal", params, inputs: [], dtype, count: 6 })));
  });

  test("normal numbers have mean 0, the standard deviation asked for, and differ by tensor and seed", async () => {
    const count = 40_000;
    const draw = (tensor: string, seed: number): WorkOp => ({
      kernel: "normal",
      params: [2],
      inputs: [],
      dtype: "F32",
      count,
      tensor,
      seed,
    });
    const [a, again, b, c] = (await outputsOf([draw("a", 1), draw("a", 1), draw("b", 1), draw("a", 2)])) as [
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    expect([...again]).toEqual([...a]);
    const dot = (x: Float64Array, y: Float64Array) => x.reduce((sum, value, i) => sum + value * (y[i] as number), 0);
    for (const values of [a, b, c]) {
      expect(Math.abs(values.reduce((sum, x) => sum + x, 0) / count)).toBeLessThan((4 * 2) / Math.sqrt(count));
      expect(Math.abs(Math.sqrt(dot(values, values) / count) / 2 - 1)).toBeLessThan(4 / Math.sqrt(2 * count));
    }
    for (const other of [b, c]) expect(Math.abs(dot(a, other) / (4 * count))).toBeLessThan(4 / Math.sqrt(count));
  });
});

describe("ops that do not fit", () => {
  const wrong: [string, Record<string, unknown>][] = [
    ["a kernel without inputs that is given one", { kernel: "constant", params: [0] }],
    ["a kernel with inputs that is given none", { inputs: [] }],
    ["inputs that are not as large as the output", { elements: 100 }],
    ["pieces that are not the whole", { kernel: "assemble", params: [1, 0, 1, 0], elements: 100 }],
    ["pieces without numbers", { kernel: "assemble", params: [1, 0], elements: 125 }],
    ["as many literal numbers as there are not elements", { kernel: "literal", inputs: [], params: [1, 2] }],
  ];
  test.each(wrong)("%s is refused", async (_, change) => {
    await withOp(async (op, _folder) => {
      const { native } = await import("../../src/native.ts");
      expect(await code(() => native().merge({ ...op, ...change }))).toBe("BAD_ARGUMENT");
    });
  });
});
