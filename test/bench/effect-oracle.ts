/**
 * What `Addon.compare` has to give for `[reference, output, ...models]`, in plain float64: for the output and each
 * model the sum of d², the sum of d times the output's d, the number of d that are not zero; then the elements that
 * some model changed, and those whose signs disagree; then the sum of squares of each, the reference first, and the
 * output's elements that are not finite.
 */
export function compared(
  reference: ArrayLike<number>,
  output: ArrayLike<number>,
  models: readonly ArrayLike<number>[],
): Float64Array {
  const vectors = [output, ...models];
  const sums = new Float64Array(4 * (vectors.length + 1));
  const add = (index: number, value: number) => {
    sums[index] = (sums[index] as number) + value;
  };
  for (let i = 0; i < reference.length; i++) {
    const changes = vectors.map((vector) => (vector[i] as number) - (reference[i] as number));
    changes.forEach((change, j) => {
      add(3 * j, change * change);
      add(3 * j + 1, change * (changes[0] as number));
      add(3 * j + 2, change === 0 ? 0 : 1);
    });
    const signs = new Set(changes.slice(1).map(Math.sign));
    if (signs.has(1) || signs.has(-1)) add(3 * vectors.length, 1);
    if (signs.has(1) && signs.has(-1)) add(3 * vectors.length + 1, 1);
    [reference, ...vectors].forEach((vector, j) => {
      add(3 * vectors.length + 2 + j, (vector[i] as number) ** 2);
    });
    if (!Number.isFinite(output[i] as number)) add(4 * vectors.length + 3, 1);
  }
  return sums;
}
