import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DTYPE_BYTES, type FloatDtype } from "../../src/model/dtype.ts";
import { type NativeTransplant, native } from "../../src/native.ts";
import { decode, encode } from "../oracle/dtype.ts";
import type { Rows } from "../oracle/linear.ts";
import { numbers } from "./workbench.ts";

/** Two matrices, and which of their rows belong to the same tokens. */
export interface Bench {
  original: Rows;
  donor: Rows;
  dtype: FloatDtype;
  sharedOriginal: readonly number[];
  sharedDonor: readonly number[];
  targets: readonly number[];
}

/**
 * `shared` tokens that both have, in another order, and `targets` that only the donor has. The original's rows are a
 * linear function of the donor's, and noise. Every number is one that `dtype` holds.
 */
export function makeBench({
  shared = 40,
  targets = 7,
  widths = [12, 12] as readonly [donor: number, original: number],
  dtype = "F32" as FloatDtype,
  seed = 1,
} = {}): Bench {
  const { list } = numbers(seed);
  const [donorWidth, originalWidth] = widths;
  const held = (row: Float64Array) => decode(encode(row, dtype), dtype);
  const donor = Array.from({ length: shared + targets }, () => held(list(donorWidth)));
  const map = Array.from({ length: originalWidth }, () => list(donorWidth, 1 / Math.sqrt(donorWidth)));
  const extra = 3;
  const original = Array.from({ length: shared + extra }, (_, row) => {
    const from = donor[sharedPlace(row, shared)] ?? list(donorWidth);
    const noise = list(originalWidth, 0.3);
    return held(
      Float64Array.from(map, (column, i) =>
        column.reduce((sum, x, j) => sum + x * (from[j] as number), noise[i] as number),
      ),
    );
  });
  return {
    original,
    donor,
    dtype,
    sharedOriginal: Array.from({ length: shared }, (_, i) => i),
    sharedDonor: Array.from({ length: shared }, (_, i) => sharedPlace(i, shared)),
    targets: Array.from({ length: targets }, (_, i) => shared + i),
  };
}

/** Where the donor has the token of a row of the original. */
function sharedPlace(row: number, shared: number): number {
  return row < shared ? shared - 1 - row : -1;
}

const DEFAULTS = {
  k: 4,
  cosine: false,
  weightScheme: "distance_proportional",
  batch: 512,
  noise: 0,
  scale: 1,
  seed: 0,
  tensor: "w",
} as const;

/** Approximates natively. @returns the rows of the targets. */
export async function transplant(
  bench: Bench,
  job: { method: string } & Partial<NativeTransplant>,
): Promise<Float64Array[]> {
  return await withMatrices([bench.original, bench.donor], bench.dtype, async ([original, donor], folder) => {
    const addon = native();
    const out = join(folder, "out");
    const width = bench.original[0]?.length as number;
    const bytes = bench.targets.length * width * DTYPE_BYTES[bench.dtype];
    const sink = addon.createSink(out, bytes + 1);
    await addon
      .transplant({
        ...DEFAULTS,
        original: original as NativeTransplant["original"],
        donor: donor as NativeTransplant["donor"],
        sharedOriginal: Uint32Array.from(bench.sharedOriginal),
        sharedDonor: Uint32Array.from(bench.sharedDonor),
        targets: Uint32Array.from(bench.targets),
        sink,
        offset: 1,
        ...job,
      })
      .finally(() => addon.close(sink));
    const values = decode(readFileSync(out).subarray(1), bench.dtype);
    return bench.targets.map((_, i) => values.slice(i * width, (i + 1) * width));
  });
}

/** Which rows look trained, natively. */
export async function judge(
  embedding: Rows,
  head: Rows | undefined,
  unused: readonly number[],
  dtype: FloatDtype = "F32",
): Promise<boolean[]> {
  return await withMatrices(head ? [embedding, head] : [embedding], dtype, async ([first, second]) => {
    const trained = await native().wellTrained(first as NativeTransplant["original"], second, Uint32Array.from(unused));
    return Array.from(trained, (value) => value === 1);
  });
}

/** Writes matrices to one file, at offsets that are no multiple of 64, and opens it. */
async function withMatrices<T>(
  matrices: readonly Rows[],
  dtype: FloatDtype,
  use: (opened: NativeTransplant["original"][], folder: string) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "sinter-transplant-"));
  const addon = native();
  const file = join(folder, "rows");
  let offset = 8;
  const chunks: Uint8Array[] = [new Uint8Array(8)];
  const places = matrices.map((rows) => {
    const place = { offset, dtype, rows: rows.length, width: rows[0]?.length ?? 0 };
    for (const row of rows) chunks.push(encode(row, dtype));
    offset += rows.length * place.width * DTYPE_BYTES[dtype];
    return place;
  });
  writeFileSync(file, Buffer.concat(chunks));
  const { handle } = addon.openSource(file);
  try {
    return await use(
      places.map((place) => ({ ...place, source: handle })),
      folder,
    );
  } finally {
    addon.close(handle);
    rmSync(folder, { recursive: true, force: true });
  }
}
