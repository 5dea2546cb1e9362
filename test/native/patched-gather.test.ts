import { afterAll, describe, expect, test } from "bun:test";
import type { TensorPatch, TensorView } from "../../src/model/types.ts";
import { type CpuTarget, native } from "../../src/native.ts";
import type { RowGather } from "../../src/plan/types.ts";
import { patched } from "../oracle/patch.ts";
import { added, runPatched, Shelf } from "./patched.ts";
import { inFolder, numbers } from "./workbench.ts";

afterAll(() => native().configure({ threads: 0, target: "auto" }));

/** Matrices of one width with patches, and lists of their rows. */
interface Scene {
  folder: string;
  /** As stored, with patches; and the same with the patches' result stored as float32. */
  views: TensorView[];
  applied: TensorView[];
  /** Float64 values of the patched matrices. */
  truth: Float64Array[];
  width: number;
}

async function withScene(width: number, along: "none" | "rows" | "columns", use: (scene: Scene) => Promise<void>) {
  await inFolder(async (folder) => {
    const { list } = numbers(width + along.length);
    const shelf = new Shelf(folder, "stored");
    const [views, stored]: [TensorView[], Float64Array[]] = [[], []];
    for (const [rows, rank] of [
      [40, 3],
      [25, 9],
    ] as const) {
      const values = Float64Array.from(list(rows * width, 0.02), Math.fround);
      const [b, a] = [rows * rank, rank * width].map((count) => Float64Array.from(list(count, 0.1), Math.fround));
      const lengths = Float64Array.from(list(Math.max(rows, width), 1), Math.fround);
      const magnitude =
        along === "none" ? undefined : { along, factor: shelf.factor(lengths, "F32", [1, lengths.length]) };
      const patch: TensorPatch = added([0, rows, width, rank], {
        left: shelf.factor(b as Float64Array, "F32", [rows, rank]),
        right: shelf.factor(a as Float64Array, "F32", [rank, width]),
        magnitude,
      });
      views.push({ ...shelf.put(values, "F32", [rows, width]), patches: [patch] });
      stored.push(values);
    }
    shelf.close();
    const truth = views.map(({ patches }, i) => patched(stored[i] as Float64Array, patches));
    const again = new Shelf(folder, "applied");
    const applied: TensorView[] = [];
    for (const view of views) {
      const { values } = await runPatched(folder, { kernel: "linear", params: [1], dtype: "F32", views: [view] });
      applied.push(again.put(values, "F32", view.shape));
    }
    again.close();
    await use({ folder, views, applied, truth, width });
  });
}

function gatherOf(views: readonly TensorView[], { rows, mixes }: Pick<RowGather, "rows" | "mixes">): RowGather {
  return { pieces: views.map((view, i) => ({ view, model: `m${i}`, tensor: "w" })), rows, mixes };
}

/** Own rows backwards, the other's, zeros, means of some, and the mean of all. */
const LIST = {
  rows: Int32Array.from([39, 3, 2, 41, 64, -1, -3, 7, -2, 0, 8, -6, -2]),
  mixes: Int32Array.from([2, 5, 50, 3, 1, 1, 40]),
};

describe("rows that are gathered from a tensor with an adapter", () => {
  for (const width of [7, 300, 1100]) {
    for (const along of ["none", "rows", "columns"] as const) {
      test(`are those of the tensor with the adapter applied: width ${width}, magnitude along ${along}`, async () => {
        await withScene(width, along, async ({ folder, views, applied, truth }) => {
          const run = (from: readonly TensorView[], dtype: "F32" | "F64" = "F32") =>
            runPatched(folder, {
              kernel: "linear",
              params: [1],
              dtype,
              views: from.slice(0, 1),
              gathers: [gatherOf(from, LIST)],
            });
          const found = await run(views);
          expect(found.bytes).toEqual((await run(applied)).bytes);
          const expected = gathered(truth, width);
          const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
          const worst = (values: Float64Array) =>
            values.reduce((most, x, i) => Math.max(most, Math.abs(x - (expected[i] as number))), 0);
          expect(worst(found.values)).toBeLessThan(1e-5 * largest);
          // In float64 nothing is rounded but the last bits.
          expect(worst((await run(views, "F64")).values)).toBeLessThan(1e-12 * largest);
        });
      });
    }
  }

  test("are the same bytes on any number of threads and any instruction set", async () => {
    await withScene(513, "columns", async ({ folder, views }) => {
      const run = async (options: { threads: number; target: CpuTarget }) => {
        native().configure(options);
        const gathers = [
          gatherOf(views, LIST),
          gatherOf(views.toReversed(), { ...LIST, rows: LIST.rows.toReversed() }),
        ];
        const from = [views[0] as TensorView, views[1] as TensorView];
        const { bytes } = await runPatched(folder, {
          kernel: "linear",
          params: [0.5, 0.5],
          dtype: "BF16",
          views: from,
          gathers,
        });
        return bytes;
      };
      const { targets } = native().info();
      const expected = await run({ threads: 1, target: targets[0] as CpuTarget });
      for (const target of targets) expect(await run({ threads: 3, target })).toEqual(expected);
      native().configure({ threads: 0, target: "auto" });
    });
  });

  test("a NaN that an adapter makes is seen", async () => {
    await inFolder(async (folder) => {
      const shelf = new Shelf(folder, "stored");
      const right = shelf.factor([Number.NaN, 0, 0, 0], "F32", [1, 4]);
      const left = shelf.factor([1, 0], "F32", [2, 1]);
      const view = {
        ...shelf.put(new Float64Array(8), "F32", [2, 4]),
        patches: [added([0, 1, 4, 1], { left, right })],
      };
      shelf.close();
      const seen = async (row: number) => {
        const gathers = [gatherOf([view], { rows: Int32Array.of(row), mixes: new Int32Array() })];
        const { nonFinite } = await runPatched(folder, {
          kernel: "linear",
          params: [1],
          dtype: "F32",
          views: [view],
          gathers,
        });
        return nonFinite;
      };
      expect(await seen(0)).toEqual([true]);
      expect(await seen(1)).toEqual([false]);
    });
  });
});

/** What LIST says, in float64. */
function gathered(truth: readonly Float64Array[], width: number): Float64Array {
  const all = Float64Array.from(truth.flatMap((one) => [...one]));
  const row = (number: number) => all.subarray(number * width, (number + 1) * width);
  const mean = (rows: readonly Float64Array[]) =>
    Float64Array.from(
      { length: width },
      (_, i) => rows.reduce((sum, one) => sum + (one[i] as number), 0) / rows.length,
    );
  const found = [...LIST.rows].map((code) => {
    if (code >= 0) return row(code);
    if (code === -1) return new Float64Array(width);
    if (code === -2) return undefined;
    const first = -3 - code;
    const count = LIST.mixes[first] as number;
    return mean([...LIST.mixes.subarray(first + 1, first + 1 + count)].map(row));
  });
  const average = mean(found.filter((one) => one !== undefined));
  return Float64Array.from(found.flatMap((one) => [...(one ?? average)]));
}
