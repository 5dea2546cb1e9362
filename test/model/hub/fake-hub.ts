import { createHash } from "node:crypto";

export interface Repository {
  commit: string;
  /** Contents by path. */
  files: Record<string, Uint8Array | string>;
  /** Branches and tags. */
  refs: string[];
  /** Who may read the files; undefined: everybody. */
  gatedFor?: string[] | undefined;
  /** Where set, the listing, instead of the one that the files give. */
  listing?: unknown[] | undefined;
}

/** A request that was seen: what was asked of which server, and with which token. */
export interface Seen {
  server: "hub" | "store";
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

/** Answers in place of the server, or lets it answer. */
export type Trouble = (seen: Seen, honest: () => Response) => Response | undefined | Promise<Response | undefined>;

export interface FakeHub {
  endpoint: string;
  repositories: Map<string, Repository>;
  seen: Seen[];
  /** Asked before each answer. */
  trouble: Trouble | undefined;
  stop(): void;
}

const PAGE = 4;

/**
 * A server that speaks the Hub's API, and another (another origin) that stands for the store of large files: the Hub
 * answers for `*.safetensors` and `*.bin` with a redirect to it.
 */
export function startFakeHub(): FakeHub {
  const repositories = new Map<string, Repository>();
  const contents = new Map<string, Uint8Array>();
  const serve = (server: Seen["server"], answer: (request: Request) => Response) =>
    Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      // In development, Bun prints what a body throws: here that is how a connection is dropped.
      development: false,
      async fetch(request) {
        const url = new URL(request.url);
        const seen: Seen = {
          server,
          path: url.pathname,
          range: request.headers.get("range") ?? undefined,
          authorization: request.headers.get("authorization") ?? undefined,
        };
        hub.seen.push(seen);
        return (await hub.trouble?.(seen, () => answer(request))) ?? answer(request);
      },
    });
  const storeServer = serve("store", (request) =>
    fileAnswer(request, contents.get(new URL(request.url).pathname.slice(1)), {}),
  );
  const hubServer = serve("hub", (request) => hubAnswer(request, repositories, contents, storeServer.url.origin));
  const hub: FakeHub = {
    endpoint: hubServer.url.origin,
    repositories,
    seen: [],
    trouble: undefined,
    stop() {
      hubServer.stop(true);
      storeServer.stop(true);
    },
  };
  return hub;
}

function hubAnswer(
  request: Request,
  repositories: Map<string, Repository>,
  contents: Map<string, Uint8Array>,
  store: string,
): Response {
  const { pathname, searchParams, origin } = new URL(request.url);
  const api = /^\/api\/models\/(.+?)\/(revision|tree|refs)(?:\/([^/]+)(?:\/(.+))?)?$/.exec(pathname);
  const file = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
  const id = api?.[1] ?? file?.[1] ?? "";
  const repository = repositories.get(id);
  if (repository === undefined) return refusal(401, "RepoNotFound", "Invalid username or password.");
  if (api?.[2] === "refs") {
    return Response.json({ branches: repository.refs.map((name) => ({ name })), tags: [] });
  }
  const revision = decodeURIComponent(api?.[3] ?? file?.[2] ?? "");
  if (revision !== repository.commit && !repository.refs.includes(revision)) {
    return refusal(404, "RevisionNotFound", `Invalid rev id: ${revision}`);
  }
  if (api?.[2] === "revision") return Response.json({ _id: "1", id, sha: repository.commit, private: false });
  if (api?.[2] === "tree") {
    const folder = api[4] === undefined ? "" : `${decodeURIComponent(api[4])}/`;
    return listing(repository, folder, Number(searchParams.get("cursor") ?? 0), origin + pathname);
  }
  return fileOf(request, id, repository, decodeURIComponent(file?.[3] ?? ""), contents, store);
}

/** What lies in a folder itself, in pages, each naming the next in a Link header. */
function listing(repository: Repository, folder: string, from: number, address: string): Response {
  const isInside = (path: string) => path.startsWith(folder) && !path.slice(folder.length).includes("/");
  const inside = Object.entries(repository.files).filter(([path]) => isInside(path));
  if (inside.length === 0 && folder !== "") return refusal(404, "EntryNotFound", "no such folder");
  const all = repository.listing ?? inside.map(([path, content]) => entryOf(path, content));
  const more = from + PAGE < all.length;
  const headers = more ? { link: `<${address}?cursor=${from + PAGE}>; rel="next"` } : {};
  return Response.json(all.slice(from, from + PAGE), { headers });
}

function entryOf(path: string, content: Uint8Array | string) {
  const bytes = Buffer.from(content);
  const entry = { type: "file", path, size: bytes.length, oid: gitSha1(bytes) };
  return isLarge(path) ? { ...entry, lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } } : entry;
}

function fileOf(
  request: Request,
  id: string,
  repository: Repository,
  path: string,
  contents: Map<string, Uint8Array>,
  store: string,
): Response {
  const token = request.headers.get("authorization")?.replace("Bearer ", "");
  const content = repository.files[path];
  if (repository.gatedFor !== undefined && !repository.gatedFor.includes(token ?? "")) {
    return refusal(token === undefined ? 401 : 403, "GatedRepo", `Access to model ${id} is restricted.`);
  }
  if (content === undefined) return refusal(404, "EntryNotFound", "Entry not found");
  const bytes = Buffer.from(content);
  const headers = { "x-repo-commit": repository.commit };
  if (!isLarge(path)) return fileAnswer(request, bytes, { ...headers, etag: `"${gitSha1(bytes)}"` });
  const key = sha256(bytes);
  contents.set(key, bytes);
  const linked = { "x-linked-etag": `"${key}"`, "x-linked-size": String(bytes.length), location: `${store}/${key}` };
  return new Response(null, { status: 302, headers: { ...headers, ...linked } });
}

function fileAnswer(request: Request, bytes: Uint8Array | undefined, headers: Record<string, string>): Response {
  if (bytes === undefined) return refusal(403, undefined, "expired");
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "");
  if (range === null) return new Response(new Uint8Array(bytes), { headers });
  const [start, end] = [Number(range[1]), Number(range[2])];
  const part = bytes.slice(start, end + 1);
  const contentRange = `bytes ${start}-${start + part.length - 1}/${bytes.length}`;
  return new Response(new Uint8Array(part), { status: 206, headers: { ...headers, "content-range": contentRange } });
}

export function refusal(status: number, code: string | undefined, message: string): Response {
  const headers: Record<string, string> = { "x-error-message": message };
  if (code !== undefined) headers["x-error-code"] = code;
  return new Response(JSON.stringify({ error: message }), { status, headers });
}

/** A body of which only the first bytes come; then the connection is closed. */
export async function brokenOff(whole: Response, after: number): Promise<Response> {
  const bytes = new Uint8Array(await whole.arrayBuffer());
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      if (after > 0) controller.enqueue(bytes.slice(0, after));
      // Time for what was sent to leave before the connection goes.
      await Bun.sleep(5);
      controller.error(new Error("broken off"));
    },
  });
  return new Response(body, { status: whole.status, headers: whole.headers });
}

function isLarge(path: string): boolean {
  return /\.(safetensors|bin|pt)$/.test(path);
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function gitSha1(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}
