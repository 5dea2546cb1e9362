/**
 * Which `keep` elements have the largest magnitudes: 1 where kept. NaN counts as larger than infinity, equal
 * magnitudes go to the lower index. Exactly `keep` are kept. A sort, where native code counts and narrows.
 */
export function largestMask(magnitudes: Float64Array, keep: number): Uint8Array {
  const count = magnitudes.length;
  const mask = new Uint8Array(count);
  if (keep <= 0) return mask;
  if (keep >= count) return mask.fill(1);
  // A typed array sorts by value with NaN last.
  const ranked = magnitudes.slice().sort();
  const threshold = ranked[count - keep] as number;
  let above = 0;
  for (const magnitude of ranked) if (exceeds(magnitude, threshold)) above++;
  let equalWanted = keep - above;
  for (let i = 0; i < count; i++) {
    const magnitude = magnitudes[i] as number;
    if (exceeds(magnitude, threshold)) mask[i] = 1;
    else if (!exceeds(threshold, magnitude) && equalWanted > 0) {
      mask[i] = 1;
      equalWanted--;
    }
  }
  return mask;
}

function exceeds(a: number, b: number): boolean {
  return Number.isNaN(a) ? !Number.isNaN(b) : a > b;
}
