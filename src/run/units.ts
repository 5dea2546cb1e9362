const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** Bytes in powers of 1000 with three digits: `988 MB`, `1.24 GB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const text = unit === 0 ? String(value) : value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
  return `${text} ${BYTE_UNITS[unit]}`;
}

/** `0.8 s`, `42 s`, `1:05 min`, `2:03:04 h`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${twoDigits(whole % 60)} min`;
  return `${Math.floor(minutes / 60)}:${twoDigits(minutes % 60)}:${twoDigits(whole % 60)} h`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
