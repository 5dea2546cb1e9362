/** How figures are written in the table and on the page: the same everywhere. `-` stands for no number. */

const NONE = "-";

export function secondsText(seconds: number): string {
  return seconds < 9.9995 ? seconds.toFixed(3) : seconds.toFixed(1);
}

export function rateText(gigabytesPerSecond: number): string {
  return gigabytesPerSecond < 0.01 ? gigabytesPerSecond.toExponential(1) : gigabytesPerSecond.toFixed(2);
}

export function normText(norm: number): string {
  if (!Number.isFinite(norm)) return NONE;
  if (norm === 0) return "0";
  return norm < 1000 ? norm.toPrecision(4) : norm.toFixed(0);
}

export function shareText(share: number): string {
  if (!Number.isFinite(share)) return NONE;
  const percent = 100 * share;
  return `${percent !== 0 && Math.abs(percent) < 0.1 ? percent.toPrecision(2) : percent.toFixed(Math.abs(percent) < 9.995 ? 2 : 1)} %`;
}

export function cosineText(cosine: number): string {
  if (!Number.isFinite(cosine)) return NONE;
  // No "-0.000".
  return (Math.abs(cosine) < 0.0005 ? 0 : cosine).toFixed(3);
}

/** A share that is more or less than none. */
export function signedShareText(share: number): string {
  return share > 0 ? `+${shareText(share)}` : shareText(share);
}
