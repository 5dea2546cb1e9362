import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DTYPE_BYTES, type FloatDtype } from "../../src/model/dtype.ts";
import { type NativeGather, type NativeOp, native } from "../../src/native.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { code } from "./failures.ts";
import { onDevices } from "./host-device.ts";
import { inFolder } from "./workbench.ts";

const addon = native();

/** A matrix of numbers that tell model, row and column. */
function matrix(seed: number, rows: number, width: number, dtype: FloatDtype): Float64Array {
  const values = Float64Array.from({ length: rows * width }, (_, i) => Math.sin(seed * 1000 + i * 0.37));
  return decode(encode(values, dtype), dtype);
}

interface Piece {
  rows: number;
  dtype: FloatDtype;
}

interface Gathered {
  pieces: readonly Piece[];
  rows: readonly number[];
  mixes?: readonly number[];
}

/** The rows that a gather names, in float64. */
function oracle({ pieces, rows, mixes = [] }: Gathered, width: number): Float64Array {
  const all = pieces.flatMap((piece, p) => {
    const values = matrix(p + 1, piece.rows, width, piece.dtype);
    return Array.from({ length: piece.rows }, (_, r) => values.subarray(r * width, (r + 1) * width));
  });
  const mean = (list: readonly (Float64Array | undefined)[]) =>
    Float64Array.from({ length: width }, (_, i) => list.reduce((s, row) => s + (row?.[i] ?? 0), 0) / list.length);
  const known = rows.map((row) => {
    if (row >= 0) return all[row];
    if (row === -1) return new Float64Array(width);
    const first = -3 - row;
    if (row < -2) return mean(mixes.slice(first + 1, first + 1 + (mixes[first] ?? 0)).map((r) => all[r]));
    return undefined;
  });
  const average = mean(known.filter((row) => row !== undefined));
  return Float64Array.from(known.flatMap((row) => [...(row ?? average)]));
}

/** `linear` of gathered inputs with weight 1 each: the sum of what each brings. */
async function run(inputs: readonly Gathered[], width: number, change: (op: NativeOp) => void = () => {}) {
  return await inFolder(async (folder) => {
    const stored = inputs.flatMap(({ pieces }) =>
      pieces.map(({ rows, dtype }, p) => encode(matrix(p + 1, rows, width, dtype), dtype)),
    );
    writeFileSync(join(folder, "in"), Buffer.concat([Uint8Array.of(0), ...stored]));
    const source = addon.openSource(join(folder, "in")).handle;
    const count = (inputs[0]?.rows.length ?? 0) * width;
    const sink = addon.createSink(join(folder, "out"), count * 4);
    let offset = 1;
    const gathers = inputs.map(
      ({ pieces, rows, mixes }): NativeGather => ({
        pieces: pieces.map((piece) => {
          const at = offset;
          offset += piece.rows * width * DTYPE_BYTES[piece.dtype];
          return { source, offset: at, dtype: piece.dtype, rows: piece.rows };
        }),
        rows: Int32Array.from(rows),
        mixes: Int32Array.from(mixes ?? []),
      }),
    );
    const op: NativeOp = {
      kernel: "linear",
      inputs: gathers.map((gather, stream) => ({ source, offset: 0, dtype: "F32", stream, gather })),
      count,
      rows: inputs[0]?.rows.length ?? 0,
      columns: width,
      params: inputs.map(() => 1),
      seed: 0,
      tensor: "w",
      sink,
      offset: 0,
      dtype: "F32",
      crc32: false,
    };
    change(op);
    try {
      const result = await addon.merge(op);
      await addon.commitSink(sink, false);
      return { values: decode(readFileSync(join(folder, "out")), "F32"), result };
    } finally {
      addon.close(source);
    }
  });
}

function expectClose(values: Float64Array, expected: Float64Array): void {
  expect(values).toHaveLength(expected.length);
  values.forEach((value, i) => {
    if (Math.abs(value - (expected[i] as number)) > 2e-6) throw new Error(`${i}: ${value}, not ${expected[i]}`);
  });
}

const SMALL: Gathered = {
  pieces: [
    { rows: 5, dtype: "BF16" },
    { rows: 3, dtype: "F32" },
  ],
  rows: [4, 0, 7, -1, -2, -3, 5, 4, -6, -2],
  mixes: [2, 0, 6, 3, 1, 2, 7],
};

describe("gathered rows", () => {
  test.each([1, 3, 7, 64, 1023, 1024, 1025, 2500])("of width %d are those that the list names", async (width) => {
    const other = { ...SMALL, rows: SMALL.rows.toReversed() };
    const { values } = await run([SMALL, other], width);
    const [a, b] = [oracle(SMALL, width), oracle(other, width)];
    expectClose(
      values,
      a.map((x, i) => x + (b[i] as number)),
    );
  });

  test("by the ten thousand, their mean included, are the same bytes on any number of threads", async () => {
    const rows = Array.from({ length: 9001 }, (_, i) => (i % 11 === 0 ? -2 : (i * 7919) % 6000));
    const large: Gathered = { pieces: [{ rows: 4000, dtype: "BF16" }, { rows: 2000, dtype: "F16" }], rows }; // biome-ignore format: short
    const checksums = new Set<string>();
    for (const threads of [1, 2, 5]) {
      addon.configure({ threads });
      const { values, result } = await run([large], 33);
      checksums.add(result.checksum);
      if (threads === 1) expectClose(values, oracle(large, 33));
    }
    addon.configure({});
    expect(checksums.size).toBe(1);
  });

  test("are put together on their way to a device, whatever they are", async () => {
    const rows = Array.from({ length: 4001 }, (_, i) => (i % 11 === 0 ? -1 : (i * 7919) % 6000));
    const plain: Gathered = { pieces: [{ rows: 4000, dtype: "BF16" }, { rows: 2000, dtype: "BF16" }], rows }; // biome-ignore format: short
    const mixed: Gathered = { ...plain, pieces: [{ rows: 4000, dtype: "BF16" }, { rows: 2000, dtype: "F16" }] }; // biome-ignore format: short
    const averaged: Gathered = { ...plain, rows: [...rows, -2] };
    for (const gathered of [plain, mixed, averaged]) {
      const wanted = await run([gathered, gathered], 33);
      for (const memory of [3_000_000, 100_000_000]) {
        const found = await onDevices("", { memory, pinned: 1 }, () =>
          run([gathered, gathered], 33, (op) => {
            op.device = true;
          }),
        );
        expect(found.result.checksum).toBe(wanted.result.checksum);
        expect(found.result.device).toBe("cuda:0 (host memory 0)");
      }
    }
  });

  test("say which input holds a NaN", async () => {
    const clean = { pieces: [{ rows: 2, dtype: "F32" as const }], rows: [1, 0] };
    expect((await run([clean, clean], 5)).result.nonFinite).toEqual([false, false]);
  });
});

describe("wrong index lists are refused", () => {
  const wrong: [string, (gather: NativeGather) => Partial<NativeGather>][] = [
    ["a row beyond the pieces", () => ({ rows: Int32Array.of(0, 1, 2, 8, 0, 0, 0, 0, 0, 0) })],
    ["too few rows", () => ({ rows: Int32Array.of(0) })],
    ["a mean that is not listed", () => ({ rows: new Int32Array(10).fill(-40) })],
    ["a mean of nothing", ({ rows }) => ({ rows: new Int32Array(rows.length).fill(-3), mixes: Int32Array.of(0) })],
    ["a mean that goes on beyond the list", ({ rows }) => ({ rows: rows.map(() => -3), mixes: Int32Array.of(5, 0) })],
    ["a mean of a row that is not there", ({ rows }) => ({ rows: rows.map(() => -3), mixes: Int32Array.of(1, 99) })],
    ["only means of all rows", ({ rows }) => ({ rows: rows.map(() => -2) })],
    ["a piece beyond its file", ({ pieces }) => ({ pieces: pieces.map((piece) => ({ ...piece, rows: 2 ** 40 })) })],
    ["other numbers", () => ({ rows: new Float64Array(10) as unknown as Int32Array })],
  ];

  test.each(wrong)("%s", async (_, change) => {
    const failed = await code(() =>
      run([SMALL], 4, (op) => {
        const [input] = op.inputs;
        if (input?.gather !== undefined) Object.assign(input.gather, change(input.gather));
      }),
    );
    expect(failed).toBe("BAD_ARGUMENT");
  });

  test("copy takes none", async () => {
    const copies = (op: NativeOp) => {
      op.kernel = "copy";
      op.params = [];
    };
    expect(await code(() => run([SMALL], 4, copies))).toBe("BAD_ARGUMENT");
  });
});
