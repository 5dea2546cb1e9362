/** A map from two ids to a number of at least 0: an open hash table, several times as fast as a Map with joined keys. */
export class PairTable {
  #size = 0;
  #mask: number;
  /** Three numbers an entry: left, right, value + 1; 0 where there is none. */
  #entries: Int32Array;

  constructor(expected: number) {
    let capacity = 16;
    while (capacity < 2 * expected) capacity *= 2;
    this.#mask = capacity - 1;
    this.#entries = new Int32Array(3 * capacity);
  }

  /** @returns -1 where there is none. */
  get(left: number, right: number): number {
    return (this.#entries[this.#slot(left, right) + 2] as number) - 1;
  }

  set(left: number, right: number, value: number): void {
    const slot = this.#slot(left, right);
    if (this.#entries[slot + 2] === 0) this.#size++;
    this.#entries[slot] = left;
    this.#entries[slot + 1] = right;
    this.#entries[slot + 2] = value + 1;
    if (2 * this.#size > this.#mask) this.#grow();
  }

  #slot(left: number, right: number): number {
    const entries = this.#entries;
    const mask = this.#mask;
    // The finishing step of MurmurHash3: neighbouring ids must not lie side by side.
    let hash = Math.imul(left, 0x9e3779b1) ^ right;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    let index = (hash ^ (hash >>> 16)) & mask;
    for (;;) {
      const slot = 3 * index;
      if (entries[slot + 2] === 0) return slot;
      if (entries[slot] === left && entries[slot + 1] === right) return slot;
      index = (index + 1) & mask;
    }
  }

  #grow(): void {
    const old = this.#entries;
    this.#mask = 2 * this.#mask + 1;
    this.#entries = new Int32Array(3 * (this.#mask + 1));
    this.#size = 0;
    for (let slot = 0; slot < old.length; slot += 3) {
      const value = old[slot + 2] as number;
      if (value !== 0) this.set(old[slot] as number, old[slot + 1] as number, value - 1);
    }
  }
}
