/** Four decimals while there are digits to tell apart, else powers of ten. */
export function formatPerplexity(value: number): string {
  return value < 1e6 ? value.toFixed(4) : value.toExponential(3);
}
