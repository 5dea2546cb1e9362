import { Oversize } from "./partial.ts";
import { Refusal, type Reply, request } from "./request.ts";
import { type HubSession, Interruption } from "./session.ts";

/** The server sends a file from its first byte only. */
export class NoRanges extends Error {}

/** A file on the server. */
export interface FileSource {
  /**
   * Bytes `[start, end)`, in pieces; fewer where the connection breaks off.
   * @throws NoRanges where the server does not send a part of a file, Oversize where it sends more than asked.
   */
  read(session: HubSession, start: number, end: number): AsyncGenerator<Uint8Array>;
}

/**
 * The Hub answers for a large file with the address of a store, which holds for an hour or so: it is asked once, and
 * again when the store refuses.
 * @param size bytes of the whole file.
 */
export function fileSource(address: string, size: number): FileSource {
  let store: string | undefined;
  const ask = async (session: HubSession, headers: Record<string, string>): Promise<Reply> => {
    try {
      const reply = await request(session, store ?? address, headers);
      store = reply.url;
      return reply;
    } catch (error) {
      if (!(error instanceof Refusal) || error.fromHub) throw error;
      store = undefined;
      throw new Interruption(error.message);
    }
  };
  return {
    async *read(session, start, end) {
      const isWhole = start === 0 && end === size;
      const range: Record<string, string> = isWhole ? {} : { range: `bytes=${start}-${end - 1}` };
      const reply = await ask(session, { "accept-encoding": "identity", ...range });
      if (!isWhole && !startsAt(reply, start)) {
        await reply.cancel();
        throw new NoRanges();
      }
      let left = end - start;
      for await (const part of reply.chunks()) {
        left -= part.length;
        if (left < 0) throw new Oversize();
        yield part;
      }
    },
  };
}

function startsAt({ status, headers }: Reply, start: number): boolean {
  return status === 206 && headers.get("content-range")?.startsWith(`bytes ${start}-`) === true;
}
