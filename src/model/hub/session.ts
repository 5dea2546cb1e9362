import { setTimeout as sleep } from "node:timers/promises";
import { SinterError } from "../../errors.ts";
import type { HubSettings } from "./settings.ts";

/** How much trouble is borne before a download is given up. */
export interface Patience {
  /** Tries in a row that bring no byte. */
  tries: number;
  /** The same while the server has never answered: a machine without a network should not wait long to be told so. */
  triesUnheard: number;
  /** The wait after the first failure; it doubles with each. */
  firstWaitMs: number;
  longestWaitMs: number;
  /** A server that asks for a longer wait is not waited for. */
  longestAskedMs: number;
}

export const PATIENCE: Patience = {
  tries: 6,
  triesUnheard: 3,
  firstWaitMs: 1000,
  longestWaitMs: 30_000,
  longestAskedMs: 300_000,
};

/** What the requests of one command share. */
export interface HubSession {
  settings: HubSettings;
  patience: Patience;
  /** Ends everything. Its reason is what is then thrown. */
  signal: AbortSignal;
  /** Told why nothing comes for a while, and `undefined` when it goes on. */
  onWait: (why: string | undefined) => void;
  /** What was learned of the server so far; each request reads and writes it. */
  server: { answered: boolean; busyUntil: number };
}

export function openSession(
  settings: HubSettings,
  signal: AbortSignal,
  onWait: HubSession["onWait"] = () => {},
  patience: Patience = PATIENCE,
): HubSession {
  return { settings, patience, signal, onWait, server: { answered: false, busyUntil: 0 } };
}

/** A failure that may pass: a closed connection, a silent or a busy server. */
export class Interruption extends Error {
  /** Milliseconds that the server asked to be left alone for. */
  readonly askedMs: number | undefined;

  constructor(message: string, askedMs?: number) {
    super(message);
    this.askedMs = askedMs;
  }
}

/**
 * Tries until it works: waits after each Interruption, longer each time.
 * @param received bytes so far; a try that brought some starts the count of failures anew.
 * @throws SinterError when patience is at its end; what `attempt` throws besides Interruptions; the signal's reason.
 */
export async function persist<T>(
  session: HubSession,
  attempt: () => Promise<T>,
  received: () => number = () => 0,
): Promise<T> {
  let failures = 0;
  for (;;) {
    const before = received();
    try {
      await waitUntil(session, session.server.busyUntil, "the server asked to wait");
      return await attempt();
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
      failures = received() > before ? 1 : failures + 1;
      await recover(session, error, failures);
    }
  }
}

async function recover(session: HubSession, failure: Interruption, failures: number): Promise<void> {
  const { patience, server } = session;
  const asked = failure.askedMs;
  if (asked !== undefined && asked > patience.longestAskedMs) throw tooBusy(session, asked);
  if (failures >= (server.answered ? patience.tries : patience.triesUnheard)) throw gaveUp(session, failure, failures);
  const doubled = Math.min(patience.firstWaitMs * 2 ** (failures - 1), patience.longestWaitMs);
  // Spread, so that connections that failed together do not come back together.
  const own = doubled * (0.75 + Math.random() / 2);
  const until = Date.now() + Math.max(asked ?? 0, own);
  if (asked !== undefined) server.busyUntil = Math.max(server.busyUntil, until);
  await waitUntil(session, until, failure.message);
}

async function waitUntil(session: HubSession, time: number, why: string): Promise<void> {
  const ms = time - Date.now();
  if (ms <= 0) return;
  session.onWait(`${why}: next try in ${Math.ceil(ms / 1000)} s`);
  try {
    await sleep(ms, undefined, { signal: session.signal });
  } catch {
    throw session.signal.reason;
  }
  session.onWait(undefined);
}

function tooBusy({ settings }: HubSession, askedMs: number): SinterError {
  const minutes = Math.ceil(askedMs / 60_000);
  return new SinterError({
    code: "hub-busy",
    message: `${settings.endpoint} asks to wait ${minutes} minutes before the next request`,
    hint:
      settings.token === undefined
        ? "set HF_TOKEN (signed-in users may ask more often), or run the same command again later: it goes on from here"
        : "run the same command again later: it goes on from here",
  });
}

function gaveUp({ settings, server }: HubSession, failure: Interruption, failures: number): SinterError {
  if (server.answered) {
    return new SinterError({
      code: "hub-failing",
      message: `${settings.endpoint} failed ${failures} times in a row, last: ${failure.message}`,
      hint: "run the same command again later: it goes on from here",
    });
  }
  return new SinterError({
    code: "hub-unreachable",
    message: `cannot reach ${settings.endpoint}: ${failure.message}`,
    hint:
      "check the network (HTTPS_PROXY, HF_ENDPOINT); on a machine without one, put the model into the Hugging Face cache " +
      "there and set HF_HUB_OFFLINE=1",
  });
}
