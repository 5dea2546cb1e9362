/**
 * What `Addon.difference` has to give for `[a, b]` or `[a, b, base]`, in plain float64 and element after element. Counts
 * go by differences rounded to the work type.
 */
export function differenceOracle(
  tensors: readonly ArrayLike<number>[],
  thresholds: readonly number[],
  work: "F32" | "F64",
): number[] {
  const round = work === "F32" ? Math.fround : (x: number) => x;
  const [a, b, c] = tensors as [ArrayLike<number>, ArrayLike<number>, ArrayLike<number> | undefined];
  const all: number[][] = [];
  for (let i = 0; i < a.length; i++) {
    const [x, y, z] = [a[i] as number, b[i] as number, c?.[i] ?? 0];
    const bad = [x, y, z].map((value) => (Number.isFinite(value) ? 0 : 1));
    const [xx, yy, zz] = bad.includes(1) ? [0, 0, 0] : [x, y, z];
    const d = round(yy - xx);
    const [p, q] = [round(xx - zz), round(yy - zz)];
    const counts = [d !== 0, bad[0], bad[1], ...thresholds.map((limit) => Math.abs(d) > round(limit))];
    const ofBase = [zz * zz, p * p, q * q, p * q, bad[2], p !== 0, q !== 0, p !== 0 || q !== 0, p * q < 0];
    all.push(
      [xx * xx, yy * yy, xx * yy, d * d, ...counts, ...(c === undefined ? [] : ofBase), Math.abs(d)].map(Number),
    );
  }
  const last = (all[0]?.length ?? 1) - 1;
  return Array.from({ length: last + 1 }, (_, s) =>
    s === last ? Math.max(...blocks(all, s, Math.max)) : sum(blocks(all, s, (x, y) => x + y)),
  );
}

/** In pieces: a call with a million arguments is too much, and one long sum loses digits. */
function blocks(rows: readonly number[][], s: number, join: (x: number, y: number) => number): number[] {
  const found: number[] = [];
  for (let at = 0; at < rows.length; at += 1000) {
    found.push(rows.slice(at, at + 1000).reduce((value, row) => join(value, row[s] as number), 0));
  }
  return found;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
