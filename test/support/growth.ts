import { expect } from "bun:test";

/** Between 10, for work in proportion to its input, and 100, for work in proportion to its square. */
const MOST = 40;

/**
 * Expects ten times the input to take about ten times the work, by processor time: how fast the machine is, and what
 * else it does, decides nothing.
 * @param prepare makes the input of a size; what it returns is measured.
 */
export function expectInProportion(size: number, prepare: (size: number) => () => unknown): void {
  const small = Math.min(...[1, 2, 3].map(() => microseconds(prepare(size / 10))));
  const large = Math.min(...[1, 2].map(() => microseconds(prepare(size))));
  expect(large / Math.max(small, 1000)).toBeLessThan(MOST);
}

function microseconds(work: () => unknown): number {
  Bun.gc(true);
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}
