import type { HubFile } from "./listing.ts";
import { Oversize, type Partial } from "./partial.ts";
import { type Segment, startSegment } from "./segment.ts";
import { type HubSession, Interruption, persist } from "./session.ts";
import type { Slots } from "./slots.ts";
import { type FileSource, NoRanges } from "./source.ts";

/**
 * Brings a file from its first missing byte to its last. A large file comes in segments, several at a time; they wait in
 * the slots' buffers until it is their turn, so that the file on the disk has no holes.
 * @returns whether the content is what its checksum says; if not, the file should be thrown away.
 * @throws when patience is at its end, or the session. What came until then is in the file.
 */
export async function transfer(
  file: HubFile,
  source: FileSource,
  partial: Partial,
  slots: Slots,
  session: HubSession,
): Promise<boolean> {
  try {
    await fetchSegments(file, source, partial, slots, session);
  } catch (error) {
    if (error instanceof Oversize) return false;
    if (!(error instanceof NoRanges)) throw error;
    if (!(await fetchFromStart(file, source, partial, slots, session))) return false;
  }
  return partial.isRight();
}

async function fetchSegments(
  file: HubFile,
  source: FileSource,
  partial: Partial,
  slots: Slots,
  session: HubSession,
): Promise<void> {
  const stop = new AbortController();
  const own = { ...session, signal: AbortSignal.any([session.signal, stop.signal]) };
  const running: Segment[] = [];
  let next = partial.bytes();
  try {
    for (;;) {
      while (next < file.size && running.length < slots.count) {
        const end = Math.min(next + slots.bufferBytes, file.size);
        running.push(startSegment({ start: next, end }, source, slots, own));
        next = end;
      }
      const head = running[0];
      if (head === undefined) return;
      await drain(head, partial);
      running.shift();
      await head.release();
    }
  } finally {
    stop.abort();
    await Promise.all(running.map((segment) => segment.release()));
  }
}

/** Writes a segment's bytes as they come. */
async function drain(segment: Segment, partial: Partial): Promise<void> {
  const length = segment.end - segment.start;
  for (let written = 0; written < length; ) {
    const bytes = await segment.after(written);
    await partial.append(bytes);
    written += bytes.length;
  }
}

/** From a server that knows no ranges: whatever breaks off starts again. @returns false where more came than there is. */
async function fetchFromStart(
  file: HubFile,
  source: FileSource,
  partial: Partial,
  slots: Slots,
  session: HubSession,
): Promise<boolean> {
  const slot = await slots.take(session.signal);
  try {
    await persist(session, async () => {
      await partial.restart();
      for await (const bytes of source.read(session, 0, file.size)) await partial.append(bytes);
      if (partial.bytes() < file.size) throw new Interruption("the connection was closed");
    });
    return true;
  } catch (error) {
    if (error instanceof Oversize) return false;
    throw error;
  } finally {
    slots.give(slot);
  }
}
