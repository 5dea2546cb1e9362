import { listFiles, modelInfo } from "@huggingface/hub";
import { SinterError } from "../../errors.ts";
import type { MissingModel } from "../missing.ts";
import { isEtag } from "./checksum.ts";
import { plainText, Refusal, type Reply, request } from "./request.ts";
import { type HubSession, Interruption, persist } from "./session.ts";

/** A file of a repository. */
export interface HubFile {
  /** From the repository's first level on. */
  path: string;
  /** Bytes. */
  size: number;
  /** The name of its blob in the cache, and the checksum of its content. */
  etag: string;
}

export interface Listing {
  commit: string;
  files: readonly HubFile[];
}

/** Most bytes of an answer that is held in memory: listings, config.json, an index of 100,000 tensors. */
const LARGEST_ANSWER = 64 * 2 ** 20;
/** Most files that a model's repository may have: a listing without an end must not be read for ever. */
const MOST_FILES = 100_000;

/**
 * Asks what commit a revision is, and which files it has.
 * @throws Refusal where the Hub says no; SinterError where its answer makes no sense or harm.
 */
export async function listRepository(session: HubSession, { id, revision }: MissingModel): Promise<Listing> {
  const hubUrl = session.settings.endpoint;
  const fetch = apiFetch(session);
  try {
    const info = await modelInfo({ name: id, revision, hubUrl, additionalFields: ["sha"], fetch });
    const commit = checkCommit(info.sha);
    return { commit, files: await filesIn(session, id, commit) };
  } catch (error) {
    throw listingFault(session, error);
  }
}

/**
 * The files of one folder of a repository, without those deeper; none where there is no such folder.
 * @throws as `listRepository`.
 */
export async function listFolder(
  session: HubSession,
  { id }: MissingModel,
  commit: string,
  folder: string,
): Promise<HubFile[]> {
  try {
    return await filesIn(session, id, commit, folder);
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return [];
    throw listingFault(session, error);
  }
}

async function filesIn(session: HubSession, id: string, commit: string, folder?: string): Promise<HubFile[]> {
  const files: HubFile[] = [];
  const place = { repo: { type: "model", name: id }, revision: commit, hubUrl: session.settings.endpoint } as const;
  for await (const entry of listFiles({ ...place, path: folder ?? "", fetch: apiFetch(session) })) {
    if (entry.type !== "file") continue;
    files.push(checkFile(entry.path, folder, entry.lfs?.size ?? entry.size, entry.lfs?.oid ?? entry.oid));
    if (files.length > MOST_FILES) throw nonsense(`more than ${MOST_FILES} files`);
  }
  return files;
}

function listingFault(session: HubSession, error: unknown): unknown {
  if (error instanceof SinterError || error instanceof Refusal || session.signal.aborted) return error;
  // What the package throws on an answer of another form than it expects.
  return nonsense(plainText((error as Error).message) ?? "no listing");
}

/** The repository's branches and tags; none where the Hub does not say. */
export async function listRevisions(session: HubSession, id: string): Promise<string[]> {
  try {
    const bytes = await fetchWhole(session, `${session.settings.endpoint}/api/models/${id}/refs`);
    const refs = JSON.parse(new TextDecoder().decode(bytes.body));
    return [...refs.branches, ...refs.tags].map((ref) => String(ref.name));
  } catch (error) {
    if (session.signal.aborted) throw error;
    return [];
  }
}

/** Where a file's content is. */
export function resolveUrl(session: HubSession, id: string, commit: string, path: string): string {
  const name = path.split("/").map(encodeURIComponent).join("/");
  return `${session.settings.endpoint}/${id}/resolve/${commit}/${name}`;
}

/** A whole small answer. @throws SinterError where it is larger than any that is expected. */
export async function fetchWhole(
  session: HubSession,
  url: string,
  headers?: Record<string, string>,
): Promise<{ reply: Reply; body: Uint8Array<ArrayBuffer> }> {
  return await persist(session, async () => {
    const reply = await request(session, url, headers);
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of reply.chunks()) {
      parts.push(part);
      length += part.length;
      if (length > LARGEST_ANSWER) throw nonsense(`more than ${LARGEST_ANSWER} bytes from ${url}`);
    }
    const promised = reply.headers.get("content-length");
    const isPlain = !reply.headers.has("content-encoding");
    if (isPlain && promised !== null && length < Number(promised)) throw new Interruption("the connection was closed");
    return { reply, body: new Uint8Array(Buffer.concat(parts)) };
  });
}

/** `fetch` for the package: with our retries, and the token where it belongs. */
function apiFetch(session: HubSession): typeof globalThis.fetch {
  const fetch = async (input: string | URL | Request) => {
    const { reply, body } = await fetchWhole(session, String(input), { accept: "application/json" });
    const link = reply.headers.get("link");
    return new Response(body, { status: 200, headers: link === null ? {} : { link } });
  };
  return fetch as typeof globalThis.fetch;
}

function checkCommit(sha: unknown): string {
  if (typeof sha === "string" && /^[0-9a-f]{40}$/.test(sha)) return sha;
  throw nonsense("no commit");
}

/** Names become paths in the cache, and so do checksums: neither may lead out of it. */
function checkFile(path: unknown, folder: string | undefined, size: unknown, etag: unknown): HubFile {
  const start = folder === undefined ? "" : `${folder}/`;
  if (typeof path !== "string" || !path.startsWith(start) || !isPlainName(path.slice(start.length))) {
    throw new SinterError({
      code: "hub-unsafe-name",
      message: `the repository has a file whose name could lead out of the cache: ${JSON.stringify(path)}`,
      hint: "nothing was downloaded; do not use this repository, and check HF_ENDPOINT",
    });
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) throw nonsense(`no size of ${path}`);
  if (!isEtag(etag)) throw nonsense(`no checksum of ${path}`);
  return { path, size, etag };
}

/** Whether a path goes down from the repository's first level, and nowhere else. */
export function isSafePath(path: string): boolean {
  return path.split("/").every(isPlainName);
}

function isPlainName(path: string): boolean {
  return /^[^\p{Cc}/\\:]+$/u.test(path) && path !== "." && path !== "..";
}

function nonsense(what: string): SinterError {
  return new SinterError({
    code: "hub-answer",
    message: `the Hub's answer about the model makes no sense: ${what}`,
    hint: "check HF_ENDPOINT and the proxy: what answered may be no Hub",
  });
}
