/** Dense linear algebra in float64, plain and slow: rows of numbers, textbook algorithms. */
export type Rows = readonly Float64Array[];

export function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
}

export function transpose(a: Rows): Float64Array[] {
  return Array.from(a[0] ?? [], (_, j) => Float64Array.from(a, (row) => row[j] as number));
}

export function multiply(a: Rows, b: Rows): Float64Array[] {
  const columns = transpose(b);
  return a.map((row) => Float64Array.from(columns, (column) => dot(row, column)));
}

export function mean(rows: Rows): Float64Array {
  return transpose(rows).reduce(
    (all, column, i) => {
      all[i] = column.reduce((sum, value) => sum + value, 0) / rows.length;
      return all;
    },
    new Float64Array(rows[0]?.length ?? 0),
  );
}

export function subtract(rows: Rows, from: Float64Array): Float64Array[] {
  return rows.map((row) => row.map((value, i) => value - (from[i] as number)));
}

/** A X = B by Gauss and Jordan, with the largest pivot of each column. B has a row per row of A. */
export function solve(a: Rows, b: Rows): Float64Array[] {
  const n = a.length;
  const rows: Float64Array[] = a.map((row, i) => Float64Array.from([...row, ...(b[i] as Float64Array)]));
  for (let column = 0; column < n; column++) {
    const size = (i: number) => Math.abs(rows[i]?.[column] as number);
    let best = column;
    for (let i = column + 1; i < n; i++) if (size(i) > size(best)) best = i;
    [rows[column], rows[best]] = [rows[best] as Float64Array, rows[column] as Float64Array];
    const pivot = rows[column] as Float64Array;
    const factor = pivot[column] as number;
    for (let j = 0; j < pivot.length; j++) pivot[j] = (pivot[j] as number) / factor;
    for (let i = 0; i < n; i++) {
      const row = rows[i] as Float64Array;
      const times = row[column] as number;
      if (i === column || times === 0) continue;
      for (let j = 0; j < row.length; j++) row[j] = (row[j] as number) - times * (pivot[j] as number);
    }
  }
  return rows.map((row) => row.slice(n));
}

/** The w that make |x - sum of w_i a_i| least, of independent vectors. */
export function leastSquares(x: Float64Array, atoms: Rows): Float64Array {
  const gram = atoms.map((a) => Float64Array.from(atoms, (b) => dot(a, b)));
  const right = atoms.map((a) => Float64Array.of(dot(a, x)));
  return Float64Array.from(solve(gram, right), (row) => row[0] as number);
}

/** Eigenvectors of a symmetric matrix, as rows, by falling eigenvalues: Jacobi's rotations. */
export function eigenvectors(matrix: Rows): Float64Array[] {
  const n = matrix.length;
  const a = matrix.map((row) => row.slice());
  const v = a.map((_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
  const at = (i: number, j: number) => (a[i] as Float64Array)[j] as number;
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += at(p, q) ** 2;
    if (off < 1e-28) break;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (at(p, q) === 0) continue;
        const theta = (at(q, q) - at(p, p)) / (2 * at(p, q));
        const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const c = 1 / Math.hypot(t, 1);
        const turn = (row: Float64Array, other: Float64Array) => {
          for (let k = 0; k < n; k++) {
            const [x, y] = [row[k] as number, other[k] as number];
            row[k] = c * x - t * c * y;
            other[k] = t * c * x + c * y;
          }
        };
        for (const row of a) {
          const [x, y] = [row[p] as number, row[q] as number];
          row[p] = c * x - t * c * y;
          row[q] = t * c * x + c * y;
        }
        turn(a[p] as Float64Array, a[q] as Float64Array);
        turn(v[p] as Float64Array, v[q] as Float64Array);
      }
    }
  }
  return v
    .map((row, i) => ({ row, value: at(i, i) }))
    .sort((x, y) => y.value - x.value)
    .map(({ row }) => row);
}

/** U V^T of a regular square matrix U S V^T: Newton's iteration X <- (X + X^-T) / 2. */
export function polar(matrix: Rows): Float64Array[] {
  const identity = matrix.map((_, i) => Float64Array.from(matrix, (_, j) => (i === j ? 1 : 0)));
  let x: Float64Array[] = matrix.map((row) => row.slice());
  for (let step = 0; step < 100; step++) {
    const inverse = transpose(solve(x, identity));
    x = x.map((row, i) => row.map((value, j) => (value + (inverse[i]?.[j] as number)) / 2));
  }
  return x;
}

/** L with L L^T = A. */
export function cholesky(a: Rows): Float64Array[] {
  const l = a.map(() => new Float64Array(a.length));
  a.forEach((row, i) => {
    for (let j = 0; j <= i; j++) {
      const rest = (row[j] as number) - dot((l[i] as Float64Array).slice(0, j), (l[j] as Float64Array).slice(0, j));
      (l[i] as Float64Array)[j] = i === j ? Math.sqrt(rest) : rest / ((l[j] as Float64Array)[j] as number);
    }
  });
  return l;
}
