/**
 * TIES (arXiv:2306.01708) written down once more, as plainly as possible and in float64: the demo's yardstick. The
 * differences alone are rounded to float32, because which of them are the largest is decided there.
 */

export interface TiesModel {
  values: Float32Array;
  weight: number;
  density: number;
}

/** What TIES gives at element `i`, before it is rounded to the output's dtype. */
export type TiesAt = (i: number) => number;

/** @param lambda factor on the merged difference. */
export function tiesOracle(base: Float32Array, models: readonly TiesModel[], lambda: number): TiesAt {
  const kept = models.map((model) => largestDifferences(base, model));
  return (i) => {
    const weighted = models.map((model, m) => model.weight * (kept[m]?.[i] as number));
    const total = weighted.reduce((sum, value) => sum + value, 0);
    const sign = total >= 0 ? 1 : -1;
    let sum = 0;
    let divisor = 0;
    for (const [m, model] of models.entries()) {
      if (Math.sign(weighted[m] as number) !== sign) continue;
      sum += weighted[m] as number;
      divisor += model.weight;
    }
    return (base[i] as number) + (lambda * sum) / (divisor === 0 ? 1 : divisor);
  };
}

/** The differences from the base, all but the largest `density` share set to zero; of equal ones the first stay. */
function largestDifferences(base: Float32Array, { values, density }: TiesModel): Float32Array {
  const differences = values.map((value, i) => value - (base[i] as number));
  const magnitudes = differences.map(Math.abs).sort();
  const keep = Math.trunc(density * differences.length);
  const threshold = keep === 0 ? Number.POSITIVE_INFINITY : (magnitudes[magnitudes.length - keep] as number);
  let above = 0;
  for (const difference of differences) if (Math.abs(difference) > threshold) above++;
  let equalsLeft = keep - above;
  return differences.map((difference) => {
    const magnitude = Math.abs(difference);
    if (magnitude > threshold) return difference;
    return magnitude === threshold && equalsLeft-- > 0 ? difference : 0;
  });
}
