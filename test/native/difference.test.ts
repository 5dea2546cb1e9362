import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DTYPE_BYTES, type FloatDtype } from "../../src/model/dtype.ts";
import { type NativeInput, native } from "../../src/native.ts";
import { differenceOracle } from "../oracle/difference.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { code } from "./failures.ts";
import { inFolder, numbers } from "./workbench.ts";

const addon = native();
const THRESHOLDS = [1e-3, 0.01, 0.5];

interface Tensor {
  values: ArrayLike<number>;
  dtype: FloatDtype;
  gather?: { rows: readonly number[]; of: number };
}

/** Runs natively from one file, inputs at odd offsets. */
async function difference(tensors: readonly Tensor[], thresholds: readonly number[], rows = 1): Promise<Float64Array> {
  return await inFolder(async (folder) => {
    const stored = tensors.map(({ values, dtype }) => encode(values, dtype));
    writeFileSync(join(folder, "in"), Buffer.concat([Uint8Array.of(0), ...stored]));
    const source = addon.openSource(join(folder, "in")).handle;
    const width = (tensors[0]?.values.length ?? 0) / (tensors[0]?.gather?.of ?? rows);
    let end = 1;
    const inputs = tensors.map(({ dtype, values, gather }, stream): NativeInput => {
      const offset = end;
      end += values.length * DTYPE_BYTES[dtype];
      const plain = { source, offset, dtype, stream };
      if (gather === undefined) return plain;
      const pieces = [{ source, offset, dtype, rows: gather.of }];
      return { ...plain, gather: { pieces, rows: Int32Array.from(gather.rows), mixes: new Int32Array() } };
    });
    try {
      return await addon.difference({ inputs, count: width * rows, rows, thresholds });
    } finally {
      addon.close(source);
    }
  });
}

function close(found: Float64Array, wanted: readonly number[], relative: number): void {
  expect(found.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) {
    expect(Math.abs((found[i] as number) - value), `sum ${i}`).toBeLessThanOrEqual(
      relative * (Math.abs(value) + 1e-12),
    );
  }
}

for (const dtypes of [["BF16"], ["F16"], ["F32"], ["F64"], ["BF16", "F32", "F64"]] as const) {
  for (const count of [1, 7, 1025, 66_001]) {
    test(`${dtypes.join(" and ")}, ${count} elements: sums, counts and the largest change are the oracle's`, async () => {
      const { list, uniform } = numbers(count);
      const base = list(count, 0.5);
      const near = () => base.map((value) => value + (uniform() < 0.5 ? 0 : (uniform() - 0.5) * 0.1));
      const tensors = [near(), near(), base].map((values, i): Tensor => {
        const dtype = dtypes[i % dtypes.length] as FloatDtype;
        return { values: decode(encode(values, dtype), dtype), dtype };
      });
      for (const some of [tensors.slice(0, 2), tensors]) {
        const wide = some.some(({ dtype }) => dtype === "F64");
        const wanted = differenceOracle(
          some.map(({ values }) => values),
          THRESHOLDS,
          wide ? "F64" : "F32",
        );
        close(await difference(some, THRESHOLDS), wanted, 1e-11);
      }
    });
  }
}

test("NaN and infinity are counted, and left out of everything else", async () => {
  const a: Tensor = { values: [1, Number.NaN, 3, 4, 5], dtype: "F32" };
  const b: Tensor = { values: [1, 2, Number.POSITIVE_INFINITY, 6, 5], dtype: "F32" };
  const c: Tensor = { values: [0, 2, 3, 5, Number.NEGATIVE_INFINITY], dtype: "F32" };
  close(await difference([a, b], [1]), [1 + 16 + 25, 1 + 36 + 25, 1 + 24 + 25, 4, 1, 1, 1, 1, 2], 0);
  close(await difference([a, b, c], [1]), [17, 37, 25, 4, 1, 1, 1, 1, 25, 1 + 1, 1 + 1, 1 - 1, 1, 2, 2, 2, 1, 2], 0);
});

test("the same bytes with every number of threads and on every instruction set", async () => {
  const { list } = numbers(5);
  const count = 600_001;
  const tensors = [list(count), list(count), list(count)].map((values): Tensor => ({ values, dtype: "BF16" }));
  const results: string[] = [];
  for (const target of addon.info().targets) {
    for (const threads of [1, 3]) {
      addon.configure({ threads, target });
      results.push((await difference(tensors, THRESHOLDS)).join());
    }
  }
  addon.configure({});
  expect(new Set(results).size).toBe(1);
});

test("rows are gathered, so that tokens are compared wherever they stand", async () => {
  const a: Tensor = { values: [1, 2, 3, 4, 5, 6], dtype: "F32", gather: { rows: [2, 0], of: 3 } };
  const b: Tensor = { values: [1, 2, 5, 7, 0, 0], dtype: "F32", gather: { rows: [1, 0], of: 3 } };
  close(await difference([a, b], [], 2), [25 + 36 + 1 + 4, 25 + 49 + 5, 25 + 42 + 5, 1, 1, 0, 0, 1], 0);
});

test("a tensor without elements has sums of zero", async () => {
  const empty: Tensor = { values: [], dtype: "F32" };
  expect([...(await difference([empty, empty], [1]))]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0]);
});

test("what makes no sense is refused", async () => {
  const one: Tensor = { values: [1], dtype: "F32" };
  for (const [tensors, thresholds] of [
    [[one], []],
    [[one, one, one, one], []],
    [[one, one], [-1]],
    [[one, one], [Number.NaN]],
    [[one, one], Array(9).fill(1)],
  ] as const) {
    expect(await code(() => difference(tensors, thresholds))).toBe("BAD_ARGUMENT");
  }
});
