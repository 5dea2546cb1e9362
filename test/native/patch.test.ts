import { afterAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { FloatDtype } from "../../src/model/dtype.ts";
import type { TensorPatch, TensorView } from "../../src/model/types.ts";
import { type CpuTarget, native } from "../../src/native.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { patched } from "../oracle/patch.ts";
import { added, runPatched, Shelf } from "./patched.ts";
import { inFolder, numbers } from "./workbench.ts";

afterAll(() => native().configure({ threads: 0, target: "auto" }));

/** Float32 work: a few roundings of the largest term, and one of the output's dtype. */
function expectClose(ours: Float64Array, truth: Float64Array, dtype: FloatDtype, tolerance = 1e-5): void {
  const largest = truth.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const unit = dtype === "BF16" ? 2 ** -8 : dtype === "F16" ? 2 ** -11 : 0;
  let worst = 0;
  for (let i = 0; i < truth.length; i++) {
    const [a, t] = [ours[i] as number, truth[i] as number];
    worst = Math.max(worst, Math.abs(a - t) / (tolerance * largest + unit * Math.abs(t) + 1e-30));
  }
  expect(worst).toBeLessThanOrEqual(1);
}

interface Made {
  folder: string;
  shelf: Shelf;
  list(count: number, scale?: number): Float64Array;
}

async function withShelf(seed: number, use: (made: Made) => Promise<void>): Promise<void> {
  await inFolder(
    async (folder) => await use({ folder, shelf: new Shelf(folder, "factors"), list: numbers(seed).list }),
  );
}

function stored(view: TensorView, values: Float64Array): Float64Array {
  return decode(encode(values, view.dtype as FloatDtype), view.dtype as FloatDtype);
}

describe("an adapter applied as a tensor is read", () => {
  const shapes = fc.record({
    rows: fc.integer({ min: 1, max: 70 }),
    columns: fc.integer({ min: 1, max: 700 }),
    rank: fc.integer({ min: 1, max: 40 }),
    transposed: fc.boolean(),
    dtype: fc.constantFrom<FloatDtype>("F32", "BF16", "F16", "F64"),
    factorDtype: fc.constantFrom<FloatDtype>("F32", "BF16", "F16"),
    along: fc.constantFrom("none", "rows", "columns"),
    seed: fc.integer({ min: 1, max: 1e6 }),
  });

  test("is W + scale B A, with DoRA's magnitudes, for any shape, dtype and storage of the factors", async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ rows, columns, rank, transposed, dtype, factorDtype, along, seed }) => {
        await withShelf(seed, async ({ folder, shelf, list }) => {
          const values = list(rows * columns, 0.02);
          const view = shelf.put(values, dtype, [rows, columns]);
          const left = shelf.factor(list(rows * rank, 0.1), factorDtype, [rows, rank], transposed);
          const right = shelf.factor(list(rank * columns, 0.1), factorDtype, [rank, columns], transposed);
          const lengths = list(along === "rows" ? rows : columns, 0.1).map((x) => Math.abs(x) + 0.5);
          const factor = shelf.factor(lengths, "F32", [1, lengths.length]);
          const magnitude = along === "none" ? undefined : { factor, along: along as "rows" | "columns" };
          const patches = [added([0, rows, columns, rank], { left, right, magnitude })];
          shelf.close();
          const op = { kernel: "linear", params: [1], dtype, views: [{ ...view, patches }] };
          const ours = await runPatched(folder, op);
          expectClose(ours.values, patched(stored(view, values), patches), dtype);
        });
      }),
      { numRuns: 25 },
    );
  });

  test("changes the rows that a patch names, and no other", async () => {
    await withShelf(7, async ({ folder, shelf, list }) => {
      const values = list(60 * 33);
      const view = shelf.put(values, "F32", [60, 33]);
      const product = (rows: number) => ({
        left: shelf.factor(list(rows * 3), "F32", [rows, 3]),
        right: shelf.factor(list(3 * 33), "BF16", [3, 33]),
      });
      const vector = shelf.factor(list(33), "F32", [1, 33]);
      const patches: TensorPatch[] = [
        added([5, 9, 33, 3], product(4)),
        { ...added([20, 21, 33, 1], { left: undefined, right: vector }), replaces: true },
        added([40, 60, 33, 3], product(20)),
      ];
      shelf.close();
      const op = { kernel: "linear", params: [1], dtype: "F32" as const, views: [{ ...view, patches }] };
      const { values: ours } = await runPatched(folder, op);
      const before = stored(view, values);
      expectClose(ours, patched(before, patches), "F32");
      for (const row of [0, 4, 9, 19, 21, 39]) {
        expect(ours.subarray(row * 33, row * 33 + 33)).toEqual(before.subarray(row * 33, row * 33 + 33));
      }
    });
  });

  test("a tensor that is stored transposed is changed where its elements stand, not where they lie", async () => {
    await withShelf(10, async ({ folder, shelf, list }) => {
      const [rows, columns] = [37, 300] as const;
      const values = list(rows * columns, 0.02);
      const turned = Float64Array.from(
        { length: values.length },
        (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] as number,
      );
      const view = { ...shelf.put(turned, "BF16", [rows, columns]), strides: [1, rows] };
      const left = shelf.factor(list(rows * 4, 0.1), "F32", [rows, 4]);
      const right = shelf.factor(list(4 * columns, 0.1), "F32", [4, columns]);
      const lengths = list(rows).map((x) => Math.abs(x) + 0.5);
      const magnitude = { factor: shelf.factor(lengths, "F32", [1, rows]), along: "rows" as const };
      const patches = [added([0, rows, columns, 4], { left, right, magnitude })];
      shelf.close();
      const op = { kernel: "linear", params: [1], dtype: "F32" as const, views: [{ ...view, patches }] };
      expectClose((await runPatched(folder, op)).values, patched(stored(view, values), patches), "F32");
    });
  });

  test("a vector is added to a bias", async () => {
    await withShelf(8, async ({ folder, shelf, list }) => {
      const values = list(300);
      const view = shelf.put(values, "BF16", [300]);
      const patches = [added([0, 1, 300, 1], { left: undefined, right: shelf.factor(list(300), "F32", [1, 300]) }, 2)];
      shelf.close();
      const op = { kernel: "linear", params: [1], dtype: "F32" as const, views: [{ ...view, patches }] };
      expectClose((await runPatched(folder, op)).values, patched(stored(view, values), patches), "F32");
    });
  });

  test("the output says where an adapter brings a NaN", async () => {
    await withShelf(9, async ({ folder, shelf, list }) => {
      const view = shelf.put(list(40), "F32", [4, 10]);
      const left = shelf.factor([1, 2, Number.NaN, 4], "F32", [4, 1]);
      const right = shelf.factor(list(10), "F32", [1, 10]);
      shelf.close();
      const views = [{ ...view, patches: [added([0, 4, 10, 1], { left, right })] }, view];
      const { nonFinite } = await runPatched(folder, { kernel: "linear", params: [0.5, 0.5], dtype: "F32", views });
      expect(nonFinite).toEqual([true, false]);
    });
  });
});

describe("the bytes of a patched merge", () => {
  // Large enough for several tasks, and for samples and tallies of select.
  test("do not depend on threads or instruction set", async () => {
    await withShelf(11, async ({ folder, shelf, list }) => {
      const [rows, columns, rank] = [450, 1300, 9];
      const values = list(rows * columns, 0.02);
      const view = () => shelf.put(values, "BF16", [rows, columns]);
      const patch = (along: "rows" | "columns" | undefined): TensorPatch[] => {
        const left = shelf.factor(list(rows * rank, 0.1), "F32", [rows, rank]);
        const right = shelf.factor(list(rank * columns, 0.1), "F32", [rank, columns]);
        const lengths = shelf.factor(new Float64Array(columns).fill(0.7), "F32", [1, columns]);
        return [added([0, rows, columns, rank], { left, right, magnitude: along && { factor: lengths, along } })];
      };
      const views = [view(), { ...view(), patches: patch(undefined) }, { ...view(), patches: patch("rows") }];
      const other = [view(), { ...view(), patches: patch("columns") }];
      shelf.close();
      const k = Math.trunc(rows * columns * 0.3);
      const hashes = async (settings: { threads: number; target: CpuTarget }) => {
        native().configure(settings);
        const found: string[] = [];
        for (const op of [
          { kernel: "ties", params: [1, 1, 1, 0.5, k, 0.5, k], dtype: "BF16" as const, views },
          { kernel: "slerp", params: [0.3], dtype: "F32" as const, views: other },
        ]) {
          found.push(Bun.SHA256.hash((await runPatched(folder, op)).bytes, "hex"));
        }
        return found;
      };
      const { targets } = native().info();
      const expected = await hashes({ threads: 1, target: targets[0] as CpuTarget });
      for (const target of targets) expect(await hashes({ threads: 3, target })).toEqual(expected);
      native().configure({ threads: 0, target: "auto" });
    });
  });

  test("a method that selects and ranks sees the patched weights: as if they had been stored", async () => {
    await withShelf(12, async ({ folder, shelf, list }) => {
      const [rows, columns, rank] = [64, 96, 4];
      const base = shelf.put(list(rows * columns, 0.02), "F32", [rows, columns]);
      const values = list(rows * columns, 0.02);
      const view = shelf.put(values, "F32", [rows, columns]);
      const left = shelf.factor(list(rows * rank, 0.1), "F32", [rows, rank]);
      const right = shelf.factor(list(rank * columns, 0.1), "F32", [rank, columns]);
      const patches = [added([0, rows, columns, rank], { left, right })];
      shelf.close();
      const merged = await runPatched(folder, {
        kernel: "linear",
        params: [1],
        dtype: "F32",
        views: [{ ...view, patches }],
      });
      const kept = new Shelf(folder, "merged");
      const whole = kept.put(merged.values, "F32", [rows, columns]);
      kept.close();
      const k = rows * columns * 0.25;
      for (const [kernel, params] of [
        ["ties", [1, 1, 1, 0.8, k]],
        ["della", [1, 1, 1, 0.8, 0.4, 0.6]],
        ["slerp", [0.4]],
      ] as const) {
        const run = (second: TensorView) => runPatched(folder, { kernel, params, dtype: "F32", views: [base, second] });
        try {
          expect((await run({ ...view, patches })).bytes).toEqual((await run(whole)).bytes);
        } catch (error) {
          throw new Error(`${kernel}: ${(error as Error).message}`);
        }
      }
    });
  });
});

describe("a patch that does not fit is refused before any work", () => {
  const wrong: [string, (patch: TensorPatch) => TensorPatch][] = [
    ["rows beyond the tensor", (patch) => ({ ...patch, to: 9 })],
    ["columns that do not divide it", (patch) => ({ ...patch, columns: 7 })],
    ["no rank", (patch) => ({ ...patch, rank: 0 })],
    ["a factor beyond its file", (patch) => ({ ...patch, rank: 4000 })],
  ];
  test.each(wrong)("%s", async (_, change) => {
    await withShelf(13, async ({ folder, shelf, list }) => {
      const view = shelf.put(list(80), "F32", [8, 10]);
      const left = shelf.factor(list(16), "F32", [8, 2]);
      const right = shelf.factor(list(20), "F32", [2, 10]);
      shelf.close();
      const patches = [change(added([0, 8, 10, 2], { left, right }))];
      const run = runPatched(folder, { kernel: "linear", params: [1], dtype: "F32", views: [{ ...view, patches }] });
      expect(run).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    });
  });
});
