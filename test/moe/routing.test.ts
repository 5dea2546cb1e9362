import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { native } from "../../src/native.ts";
import { code } from "../native/failures.ts";
import { inFolder, numbers } from "../native/workbench.ts";
import { encode, FLOAT_DTYPES } from "../oracle/dtype.ts";

type Part = "mean" | "direction";
interface Prompts {
  positive: number[];
  negative: number[];
}

/** Written from the formula in native/numeric/routing.h. */
function expectedGate(vectors: number[][], { positive, negative }: Prompts, part: Part): number[] {
  const norm = (v: number[]) => Math.max(Math.hypot(...v), 1e-8);
  const partOf = (indices: number[]) => {
    const sum = (vectors[0] ?? []).map((_, i) => indices.reduce((total, k) => total + (vectors[k]?.[i] ?? 0), 0));
    if (indices.length === 0) return sum;
    const by = part === "mean" ? indices.length : norm(sum);
    return sum.map((x) => x / by);
  };
  const minus = partOf(negative);
  const gate = partOf(positive).map((x, i) => x - (minus[i] as number));
  return gate.map((x) => x / norm(gate));
}

function route(layers: number[][][], experts: Prompts[], part: Part) {
  return native().route({
    vectors: Float32Array.from(layers.flat(2)),
    layers: layers.length,
    width: layers[0]?.[0]?.length ?? 0,
    experts: experts.map(({ positive, negative }) => ({
      positive: Int32Array.from(positive),
      negative: Int32Array.from(negative),
    })),
    part,
  });
}

/** Whole numbers: as exact in float32 as in float64. */
const vectorsOf = (layers: number, count: number, width: number) =>
  fc.array(
    fc.array(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: width, maxLength: width }), {
      minLength: count,
      maxLength: count,
    }),
    { minLength: layers, maxLength: layers },
  );

const indices = (count: number, least: number) =>
  fc.array(fc.integer({ min: 0, max: count - 1 }), { minLength: least, maxLength: 5 });

const givens = fc
  .record({
    layers: fc.integer({ min: 1, max: 3 }),
    count: fc.integer({ min: 1, max: 6 }),
    width: fc.integer({ min: 1, max: 9 }),
    part: fc.constantFrom<Part>("mean", "direction"),
  })
  .chain(({ layers, count, width, part }) =>
    fc.record({
      layers: vectorsOf(layers, count, width),
      part: fc.constant(part),
      experts: fc.array(fc.record({ positive: indices(count, 1), negative: indices(count, 0) }), {
        minLength: 1,
        maxLength: 4,
      }),
    }),
  );

describe("routing vectors", () => {
  test("are what the formula gives, of norm 1 wherever the prompts do not cancel out", () => {
    fc.assert(
      fc.property(givens, ({ layers, experts, part }) => {
        const { gates, cosines } = route(layers, experts, part);
        const width = layers[0]?.[0]?.length as number;
        layers.forEach((vectors, layer) => {
          const rows = experts.map((_, e) => {
            const start = (layer * experts.length + e) * width;
            return [...gates.subarray(start, start + width)];
          });
          rows.forEach((row, e) => {
            const wanted = expectedGate(vectors, experts[e] as Prompts, part);
            const size = Math.hypot(...wanted);
            // What is left of prompts that cancel out is rounding.
            if (size < 0.5) return;
            row.forEach((x, i) => {
              expect(x).toBeCloseTo(wanted[i] as number, 6);
            });
            expect(Math.hypot(...row)).toBeCloseTo(1, 12);
          });
          rows.forEach((a, i) => {
            rows.forEach((b, j) => {
              const cosine = cosines[(layer * rows.length + i) * rows.length + j] as number;
              expect(cosine).toBeCloseTo(
                a.reduce((sum, x, k) => sum + x * (b[k] as number), 0),
                12,
              );
            });
          });
        });
      }),
      { numRuns: 150 },
    );
  });

  test("do not depend on the scale of hidden states, or on prompts given twice", () => {
    const { list } = numbers(5);
    const vectors = [0, 1, 2].map(() => [...list(16)].map((x) => Math.round(x * 64)));
    const experts = [{ positive: [0, 1], negative: [2] }];
    for (const part of ["mean", "direction"] as const) {
      const plain = route([vectors], experts, part).gates;
      const large = route([vectors.map((v) => v.map((x) => 4 * x))], experts, part).gates;
      const twice = route([vectors], [{ positive: [0, 1, 0, 1], negative: [2, 2] }], part).gates;
      for (const other of [large, twice]) {
        other.forEach((x, i) => {
          expect(x).toBeCloseTo(plain[i] as number, 12);
        });
      }
    }
  });

  test("have the condition number of their rows: 1 where they are at right angles, without end where they are dependent", () => {
    const single = (...positive: number[]) => positive.map((one) => ({ positive: [one], negative: [] }));
    const unit = [
      [3, 0, 0],
      [0, 2, 0],
      [4, 0, 0],
      [3, 4, 0],
    ];
    expect(route([unit], single(0, 1), "mean").condition[0]).toBeCloseTo(1, 12);
    expect(route([unit], single(0, 2), "mean").condition[0]).toBe(Number.POSITIVE_INFINITY);
    // Two unit vectors with cosine c: sqrt((1 + c) / (1 - c)).
    expect(route([unit], single(0, 3), "mean").condition[0]).toBeCloseTo(Math.sqrt(1.6 / 0.4), 12);
    const broken = [[Number.NaN, 0, 0], ...unit];
    expect(route([broken], single(0, 1), "mean").condition[0]).toBeNaN();
  });

  test("are refused where a prompt's number or the sizes make no sense", async () => {
    const prompts = (index: number) => ({ positive: Int32Array.of(index), negative: new Int32Array() });
    const experts = [prompts(1)];
    const given = { vectors: new Float32Array(8), layers: 1, width: 4, experts, part: "mean" as const };
    const wrong = (change: object) => code(() => native().route({ ...given, ...change }));
    expect(await wrong({})).toBeUndefined();
    for (const change of [
      { experts: [prompts(2)] },
      { experts: [] },
      { width: 3 },
      { layers: 0 },
      { part: "median" },
    ]) {
      expect(await wrong(change)).toBe("BAD_ARGUMENT");
    }
  });
});

describe("rows of a matrix", () => {
  test("come as float32, in the order of the ids, whatever the dtype and wherever the matrix lies", async () => {
    await inFolder((folder) => {
      for (const dtype of FLOAT_DTYPES) {
        const values = Float64Array.from({ length: 15 }, (_, i) => i - 4.5);
        writeFileSync(join(folder, dtype), Buffer.concat([Buffer.alloc(3), encode(values, dtype)]));
        const source = native().openSource(join(folder, dtype)).handle;
        const ids = Int32Array.of(4, 0, 4);
        const rows = native().gatherRows({ source, offset: 3, dtype, rows: 5, columns: 3, ids });
        expect([...rows]).toEqual([7.5, 8.5, 9.5, -4.5, -3.5, -2.5, 7.5, 8.5, 9.5]);
        native().close(source);
      }
    });
  });

  test("beyond the matrix, and a matrix beyond its file, are refused", async () => {
    await inFolder(async (folder) => {
      writeFileSync(join(folder, "m"), new Uint8Array(24));
      const source = native().openSource(join(folder, "m")).handle;
      const given = { source, offset: 0, dtype: "F32" as const, rows: 2, columns: 3, ids: Int32Array.of(1) };
      const wrong = (change: object) => code(() => native().gatherRows({ ...given, ...change }));
      expect(await wrong({})).toBeUndefined();
      for (const change of [
        { ids: Int32Array.of(2) },
        { ids: Int32Array.of(-1) },
        { rows: 3 },
        { offset: 1 },
        { rows: 2 ** 40 },
        { dtype: "I32" },
        { ids: [0] },
      ]) {
        expect(await wrong(change)).toBe("BAD_ARGUMENT");
      }
      native().close(source);
    });
  });
});
