/** A selection: 1 where kept; and whether some of the elements that equal the smallest kept magnitude were left out. */
export interface Selection {
  mask: Uint8Array;
  /** The smallest kept magnitude where equal ones were left out; undefined where no order among equals matters. */
  contested: number | undefined;
}

/**
 * Which `keep` elements have the largest magnitudes: 1 where kept. NaN counts as larger than infinity, equal
 * magnitudes go to the lower index. Exactly `keep` are kept. A sort, where native code counts and narrows.
 */
export function selectLargest(magnitudes: Float64Array, keep: number): Selection {
  const count = magnitudes.length;
  const mask = new Uint8Array(count);
  if (keep <= 0) return { mask, contested: undefined };
  if (keep >= count) return { mask: mask.fill(1), contested: undefined };
  // A typed array sorts by value with NaN last.
  const ranked = magnitudes.slice().sort();
  const threshold = ranked[count - keep] as number;
  let above = 0;
  for (const magnitude of ranked) if (exceeds(magnitude, threshold)) above++;
  let equalWanted = keep - above;
  let contested: number | undefined;
  for (let i = 0; i < count; i++) {
    const magnitude = magnitudes[i] as number;
    if (exceeds(magnitude, threshold)) mask[i] = 1;
    else if (!exceeds(threshold, magnitude)) {
      if (equalWanted > 0) mask[i] = 1;
      else contested = threshold;
      equalWanted--;
    }
  }
  return { mask, contested };
}

function exceeds(a: number, b: number): boolean {
  return Number.isNaN(a) ? !Number.isNaN(b) : a > b;
}
