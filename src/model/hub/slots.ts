/** A connection that may be used, and the memory for what comes through it. */
export interface Slot {
  buffer: Uint8Array;
}

/** A fixed number of connections for all files, given out in the order of asking. */
export interface Slots {
  count: number;
  /** Bytes of each buffer. */
  bufferBytes: number;
  /** @throws the signal's reason. */
  take(signal: AbortSignal): Promise<Slot>;
  give(slot: Slot): void;
}

export function makeSlots(count: number, bufferBytes: number): Slots {
  const free: Slot[] = [];
  const waiting: ((slot: Slot) => void)[] = [];
  let made = 0;
  return {
    count,
    bufferBytes,
    take(signal) {
      if (signal.aborted) return Promise.reject(signal.reason);
      const slot = free.pop();
      if (slot !== undefined) return Promise.resolve(slot);
      if (made < count) {
        made++;
        return Promise.resolve({ buffer: new Uint8Array(bufferBytes) });
      }
      return waitForSlot(waiting, signal);
    },
    give(slot) {
      const next = waiting.shift();
      if (next === undefined) free.push(slot);
      else next(slot);
    },
  };
}

function waitForSlot(waiting: ((slot: Slot) => void)[], signal: AbortSignal): Promise<Slot> {
  return new Promise((resolve, reject) => {
    const accept = (slot: Slot) => {
      signal.removeEventListener("abort", leave);
      resolve(slot);
    };
    const leave = () => {
      waiting.splice(waiting.indexOf(accept), 1);
      reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    waiting.push(accept);
  });
}
