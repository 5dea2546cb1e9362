import { SinterError } from "../../errors.ts";
import { type HubSession, Interruption } from "./session.ts";

const MOST_REDIRECTS = 10;
/** Answers that are worth another try: too early or too often, and servers in trouble (the last four: of a proxy). */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 524]);

/** An answer that no further try will change. The Hub says why in headers. */
export class Refusal extends Error {
  readonly status: number;
  /** `GatedRepo`, `RepoNotFound`, `RevisionNotFound`, `EntryNotFound`. */
  readonly errorCode: string | undefined;
  /** A sentence from the server, as plain text. */
  readonly reason: string | undefined;
  /** Whether the Hub itself answered, and not a store that it sent us to. */
  readonly fromHub: boolean;

  constructor(response: Response, url: URL, fromHub: boolean) {
    super(`${url.origin} answered ${response.status}`);
    this.status = response.status;
    this.errorCode = response.headers.get("x-error-code") ?? undefined;
    this.reason = plainText(response.headers.get("x-error-message"));
    this.fromHub = fromHub;
  }
}

export interface Reply {
  status: number;
  headers: Headers;
  /** Where the answer came from, after redirects. */
  url: string;
  /** The body, once. @throws Interruption where it breaks off or no byte comes for too long. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** Ends the connection where the body is not wanted. */
  cancel(): Promise<void>;
}

/**
 * One GET, redirects followed. The token goes to the Hub's own origin and nowhere else.
 * @throws Interruption for what may pass, Refusal for any other answer than success, the session's reason when it ends.
 */
export async function request(
  session: HubSession,
  address: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  const watch = watchSilence(session);
  try {
    let url = new URL(address);
    for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
      const response = await fetch(url, {
        headers: { "user-agent": session.settings.userAgent, ...headers, ...authorization(session, url) },
        redirect: "manual",
        signal: watch.signal,
      });
      session.server.answered = true;
      watch.heard();
      const target = redirectTarget(response, url);
      if (target === undefined) return judge(session, response, url, watch);
      await response.body?.cancel();
      url = target;
    }
    throw new SinterError({ code: "hub-redirect", message: `${address} redirects more than ${MOST_REDIRECTS} times` });
  } catch (error) {
    watch.end();
    throw translate(error, session);
  }
}

/** Aborts when nothing was heard for too long. */
interface Watch {
  signal: AbortSignal;
  heard(): void;
  end(): void;
}

function watchSilence(session: HubSession): Watch {
  const controller = new AbortController();
  const ms = session.settings.silenceMs;
  const silent = () => controller.abort(new Interruption(`no answer for ${Math.round(ms / 1000)} s`));
  const timer = setTimeout(silent, ms);
  return {
    signal: AbortSignal.any([session.signal, controller.signal]),
    heard: () => void timer.refresh(),
    end: () => clearTimeout(timer),
  };
}

function authorization({ settings }: HubSession, url: URL): Record<string, string> {
  const isHub = url.origin === new URL(settings.endpoint).origin;
  return isHub && settings.token !== undefined ? { authorization: `Bearer ${settings.token}` } : {};
}

function redirectTarget(response: Response, from: URL): URL | undefined {
  if (![301, 302, 303, 307, 308].includes(response.status)) return undefined;
  const location = response.headers.get("location") ?? "";
  const target = URL.parse(location, from.href);
  if (target?.protocol === "https:" || (target?.protocol === "http:" && from.protocol === "http:")) return target;
  throw new SinterError({
    code: "hub-redirect",
    message: `${from.origin} redirects to an address that is not followed: ${plainText(location) ?? "none"}`,
    hint: "only https (and from http also http) is; check HF_ENDPOINT and the proxy",
  });
}

async function judge(session: HubSession, response: Response, url: URL, watch: Watch): Promise<Reply> {
  const { status, headers } = response;
  const cancel = async () => {
    watch.end();
    await response.body?.cancel();
  };
  if (response.ok) return { status, headers, url: url.href, chunks: () => readBody(session, response, watch), cancel };
  await cancel();
  if (PASSING.has(status)) throw new Interruption(`${url.origin} answered ${status}`, askedWait(headers));
  throw new Refusal(response, url, url.origin === new URL(session.settings.endpoint).origin);
}

async function* readBody(session: HubSession, response: Response, watch: Watch): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  try {
    for (;;) {
      const part = await reader?.read();
      if (part === undefined || part.done) return;
      yield part.value;
      watch.heard();
    }
  } catch (error) {
    throw translate(error, session);
  } finally {
    watch.end();
    // Not awaited: a body that broke off has nothing left to cancel, and its error is known.
    reader?.cancel().catch(() => {});
  }
}

/** Milliseconds that the server asks for: `Retry-After` (seconds, or a date), else `t=` of the Hub's `RateLimit`. */
function askedWait(headers: Headers): number | undefined {
  const after = headers.get("retry-after")?.trim();
  if (after !== undefined && /^\d+$/.test(after)) return Number(after) * 1000;
  const date = after === undefined ? Number.NaN : Date.parse(after);
  if (!Number.isNaN(date)) return Math.max(0, date - Date.now());
  const reset = /\bt=(\d+)/.exec(headers.get("ratelimit") ?? "");
  return reset === null ? undefined : Number(reset[1]) * 1000;
}

const CONNECTION_TROUBLE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection was closed",
  ENOTFOUND: "the server's name is not known",
  EAI_AGAIN: "the server's name cannot be looked up",
  ETIMEDOUT: "the connection timed out",
};

function translate(error: unknown, session: HubSession): unknown {
  if (session.signal.aborted) return session.signal.reason;
  if (error instanceof Interruption || error instanceof Refusal || error instanceof SinterError) return error;
  const { code = "", message = String(error) } = error as { code?: string; message?: string };
  if (/CERT|SIGNATURE|ISSUER|TLS|SSL/.test(code)) {
    return new SinterError({
      code: "hub-certificate",
      message: `${session.settings.endpoint} cannot be trusted: ${plainText(message) ?? code}`,
      hint: "behind a proxy with a certificate of its own, name that certificate in NODE_EXTRA_CA_CERTS",
    });
  }
  return new Interruption(CONNECTION_TROUBLE[code] ?? plainText(message) ?? "the connection failed");
}

/** A server's words without control characters, which could steer a terminal, and no longer than a line or two. */
export function plainText(text: string | null | undefined): string | undefined {
  const plain = text?.replace(/\p{Cc}+/gu, " ").trim();
  return plain ? plain.slice(0, 200) : undefined;
}
