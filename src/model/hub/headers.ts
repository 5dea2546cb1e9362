import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Report, SinterError } from "../../errors.ts";
import type { MissingModel } from "../missing.ts";
import { fetchWhole, type HubFile, resolveUrl } from "./listing.ts";
import { request } from "./request.ts";
import { type HubSession, Interruption, persist } from "./session.ts";
import { explain, reportFor, type Survey, surveyModels } from "./survey.ts";

/** Bytes that are asked for at first: the header of most shards, in one request. */
const FIRST_BYTES = 128 * 1024;
/** Bytes of the number that says how long a header is; the reference implementation's limit for that. */
const LENGTH_BYTES = 8;
const MOST_BYTES = 100_000_000;
/** Whose content is read to understand a model; of the others only the name counts. */
const READ = /(^|\/)(config|[^/]+\.index)\.json$/;
/** What a tokenizer is read from. Larger files are left where they are: a vocabulary takes some ten megabytes at most. */
const TOKENIZER =
  /^(tokenizer\.json|tokenizer\.model|vocab\.(json|txt)|merges\.txt|(tokenizer_config|special_tokens_map|added_tokens)\.json|chat_template\.jinja)$/;
const MOST_TOKENIZER_BYTES = 32_000_000;

/** A model of the Hub as a folder in which weights are holes: everything is there but the tensors' bytes. */
export interface StagedHeaders {
  commit: string;
  /** Where people find the model. */
  url: string;
  /** Bytes that were received for it. */
  received: number;
  /** Whether all that its tokenizer is read from is there. */
  hasTokenizer: boolean;
}

/**
 * Writes a model of the Hub into `dir` without its weights: config.json, the index and the tokenizer as they are, of each
 * safetensors file its header and then a hole of the size of its tensors, all other files empty.
 * @returns undefined where that cannot be: then the report has an error.
 */
export async function stageHeaders(
  session: HubSession,
  model: MissingModel,
  dir: string,
  report: Report,
): Promise<StagedHeaders | undefined> {
  const [survey] = await surveyModels(session, [model], report);
  if (survey === undefined) return undefined;
  try {
    const other = survey.files.find(({ path }) => /\.(bin|pt|pth|ckpt)$/.test(path));
    if (other !== undefined) throw new SinterError(noHeader(model, other));
    const sizes = await Promise.all(survey.files.map((file) => stageFile(session, survey, file, join(dir, file.path))));
    const { commit } = survey;
    const url = `${session.settings.endpoint}/${model.id}/tree/${commit}`;
    const received = sizes.reduce((sum, size) => sum + size, 0);
    const hasTokenizer = survey.files.every((file) => !TOKENIZER.test(file.path) || isTokenizerRead(file));
    return { commit, url, received, hasTokenizer };
  } catch (error) {
    for (const problem of await explain(session, model, error)) reportFor(model, problem, report);
    return undefined;
  }
}

function isTokenizerRead({ path, size }: HubFile): boolean {
  return TOKENIZER.test(path) && size <= MOST_TOKENIZER_BYTES;
}

function noHeader({ id }: MissingModel, file: HubFile) {
  return {
    code: "no-header",
    message: `"${id}" has its weights in PyTorch's format (${file.path}), which has no header to read by itself`,
    hint: "download the model (sinter plan with --download, or hf download), then inspect it",
  };
}

/** @returns how many bytes were received. */
async function stageFile(session: HubSession, { model, commit }: Survey, file: HubFile, path: string): Promise<number> {
  const url = resolveUrl(session, model.id, commit, file.path);
  mkdirSync(dirname(path), { recursive: true });
  let bytes: Uint8Array = new Uint8Array();
  if (file.path.endsWith(".safetensors")) {
    bytes = await fetchHeader(session, url, file.size);
    writeFileSync(path, bytes);
    truncateSync(path, file.size);
  } else {
    if (isTokenizerRead(file) && file.size > 0) bytes = await fetchStart(session, url, file.size);
    else if (READ.test(file.path)) bytes = (await fetchWhole(session, url, { "accept-encoding": "identity" })).body;
    writeFileSync(path, bytes);
  }
  return bytes.length;
}

/** The first bytes of a safetensors file, up to the end of its header where they make one. */
async function fetchHeader(session: HubSession, url: string, size: number): Promise<Uint8Array> {
  const first = await fetchStart(session, url, Math.min(FIRST_BYTES, size));
  if (first.length < LENGTH_BYTES) return first;
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  // What is wrong with such a length is said by whoever reads the file.
  if (length > MOST_BYTES || Number(length) > size - LENGTH_BYTES) return first;
  const end = LENGTH_BYTES + Number(length);
  return end <= first.length ? first.subarray(0, end) : await fetchStart(session, url, end);
}

/** The first `count` bytes. A server that knows no ranges sends more: the rest is not waited for. */
async function fetchStart(session: HubSession, url: string, count: number): Promise<Uint8Array> {
  const headers = { range: `bytes=0-${count - 1}`, "accept-encoding": "identity" };
  return await persist(session, async () => {
    const reply = await request(session, url, headers);
    const bytes = new Uint8Array(count);
    let filled = 0;
    for await (const part of reply.chunks()) {
      const used = part.subarray(0, count - filled);
      bytes.set(used, filled);
      filled += used.length;
      if (filled === count) return bytes;
    }
    throw new Interruption("the connection was closed");
  });
}
