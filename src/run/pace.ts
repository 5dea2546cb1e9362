/** Milliseconds that the rate looks back, and that must have passed before a time left is said. */
const WINDOW_MS = 10_000;
const LEAST_MS = 1000;
/** Least milliseconds between two marks that are kept. */
const MARK_MS = 200;

/**
 * How fast something goes, from what was done lately: work that turns from cached files to those on the disk says so within
 * seconds, and the time left with it. What took no time, as an earlier run did it, is not told to it.
 */
export class Pace {
  readonly #marks: { ms: number; done: number }[];

  /** @param ms when it began, on a clock that does not jump. */
  constructor(ms: number) {
    this.#marks = [{ ms, done: 0 }];
  }

  /** @param done how much is done in all. */
  mark(ms: number, done: number): void {
    const last = this.#marks.at(-1);
    // What has to be done again, as a file that was fetched in part, counts from there.
    if (last !== undefined && done < last.done) this.#marks.splice(0, this.#marks.length, { ms, done });
    else if (last === undefined || ms - last.ms >= MARK_MS) this.#marks.push({ ms, done });
    while ((this.#marks[1]?.ms ?? Number.POSITIVE_INFINITY) <= ms - WINDOW_MS) this.#marks.shift();
  }

  /** What is done in a second; 0 where nothing is. */
  rate(ms: number, done: number): number {
    const [first] = this.#marks;
    return first === undefined || ms <= first.ms ? 0 : Math.max(0, ((done - first.done) * 1000) / (ms - first.ms));
  }

  /** Seconds for what is left; undefined before there is something to tell it by. */
  left(ms: number, done: number, left: number): number | undefined {
    const [first] = this.#marks;
    const rate = this.rate(ms, done);
    if (left === 0) return 0;
    return first === undefined || rate === 0 || ms - first.ms < LEAST_MS ? undefined : left / rate;
  }
}
