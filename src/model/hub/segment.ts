import { type HubSession, Interruption, persist } from "./session.ts";
import type { Slot, Slots } from "./slots.ts";
import type { FileSource } from "./source.ts";

/** Bytes `[start, end)` of a file, on their way through one connection. */
export interface Segment {
  start: number;
  end: number;
  /** Bytes that are in the slot's buffer. */
  received(): number;
  /** Waits until more than `known` bytes are there, and returns the bytes from `known` on; empty at the end. */
  after(known: number): Promise<Uint8Array>;
  /** Ends when nothing happens to it any more. The slot is free then. */
  release(): Promise<void>;
}

/** Takes a slot and fills its buffer, trying again from where a connection broke off. */
export function startSegment(
  range: { start: number; end: number },
  source: FileSource,
  slots: Slots,
  session: HubSession,
): Segment {
  const length = range.end - range.start;
  let slot: Slot | undefined;
  let received = 0;
  let failure: { error: unknown } | undefined;
  let news = Promise.withResolvers<void>();
  const tell = () => {
    news.resolve();
    news = Promise.withResolvers();
  };
  const fill = async () => {
    slot = await slots.take(session.signal);
    const { buffer } = slot;
    await persist(
      session,
      async () => {
        for await (const part of source.read(session, range.start + received, range.end)) {
          buffer.set(part, received);
          received += part.length;
          tell();
        }
        if (received < length) throw new Interruption("the connection was closed");
      },
      () => received,
    );
  };
  const filled = fill().catch((error: unknown) => {
    failure = { error };
    tell();
  });
  return {
    ...range,
    received: () => received,
    async after(known) {
      while (received === known && known < length) {
        if (failure !== undefined) throw failure.error;
        await news.promise;
      }
      return slot === undefined ? new Uint8Array() : slot.buffer.subarray(known, received);
    },
    async release() {
      await filled;
      if (slot !== undefined) slots.give(slot);
    },
  };
}
