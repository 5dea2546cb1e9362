import { dirname, resolve } from "node:path";
import { type Problem, type Report, SinterError } from "../../errors.ts";
import { expandHome } from "../hub-cache.ts";
import { isObject } from "../json-file.ts";
import { didYouMean } from "../locate.ts";
import type { FoldersOf, MissingModel } from "../missing.ts";
import { parsePythonJson } from "../python-json.ts";
import { quantisedConfig } from "../quantised.ts";
import { formatModelPath } from "../ref.ts";
import { modelWeightFiles } from "../weight-files.ts";
import { checksumFor } from "./checksum.ts";
import { chooseFiles, isTokenizerFile } from "./choose.ts";
import {
  fetchWhole,
  type HubFile,
  isSafePath,
  type Listing,
  listFolder,
  listRepository,
  listRevisions,
  resolveUrl,
} from "./listing.ts";
import { explainRefusal, noRevision } from "./problems.ts";
import { Refusal } from "./request.ts";
import type { HubSession } from "./session.ts";

/** What is to be downloaded of a model: known before any of it is. */
export interface Survey {
  model: MissingModel;
  commit: string;
  /** Small files first. */
  files: readonly HubFile[];
  hasTokenizer: boolean;
}

/**
 * Asks the Hub about models, all at once. Reads listings and, of the files, config.json (gated models show there) and
 * the weights' index.
 * @param foldersOf the folders that hold parts of a model, by its config.json.
 * @returns one survey per model, except where something is wrong: then the report has an error for it.
 */
export async function surveyModels(
  session: HubSession,
  models: readonly MissingModel[],
  report: Report,
  foldersOf: FoldersOf = () => [],
): Promise<Survey[]> {
  const surveys = await Promise.all(
    models.map(async (model) => {
      try {
        return await surveyModel(session, model, foldersOf);
      } catch (error) {
        for (const problem of await explain(session, model, error)) reportFor(model, problem, report);
        return undefined;
      }
    }),
  );
  return surveys.filter((survey) => survey !== undefined);
}

async function surveyModel(session: HubSession, model: MissingModel, foldersOf: FoldersOf): Promise<Survey> {
  const listing = await listRepository(session, model);
  const names = listing.files.map((file) => file.path);
  const configPage = `${session.settings.endpoint}/${model.id}/blob/${listing.commit}/config.json`;
  const config = await readConfig(session, model, listing);
  const problem = quantisedConfig(config, configPage);
  if (problem !== undefined) throw new SinterError(problem);
  const own = await chooseIn("", session, model, listing);
  if (own.weights === 0) throw new SinterError(noWeights(model, names));
  const parts = await Promise.all(
    [...foldersOf(config)].filter(isSafePath).map(async (folder) => {
      const files = await listFolder(session, model, listing.commit, folder);
      return await chooseIn(`${folder}/`, session, model, { commit: listing.commit, files });
    }),
  );
  const files = [own, ...parts].flatMap((part) => part.files).sort((a, b) => a.size - b.size);
  return { model, commit: listing.commit, files, hasTokenizer: names.some(isTokenizerFile) };
}

/**
 * What is needed of one folder, its files given. Shards that its index places in folders within it are looked for there.
 * @param folder with its slash; empty for the repository's first level.
 */
async function chooseIn(
  folder: string,
  session: HubSession,
  model: MissingModel,
  { commit, files }: Listing,
): Promise<{ files: HubFile[]; weights: number }> {
  const byName = new Map(files.map((file) => [file.path.slice(folder.length), file]));
  const index = await readIndex(byName, session, model, commit);
  const within = new Set(index?.shards.map((shard) => dirname(shard)));
  for (const inner of [...within].filter((path) => path !== "." && isSafePath(path))) {
    const more = await listFolder(session, model, commit, folder + inner);
    for (const file of more) byName.set(file.path.slice(folder.length), file);
  }
  const { weights, sides } = chooseFiles([...byName.keys()], index);
  return { files: [...weights, ...sides].map((name) => byName.get(name) as HubFile), weights: weights.length };
}

/** Empty where there is none. A gated repository does not give it. */
async function readConfig(
  session: HubSession,
  model: MissingModel,
  listing: Listing,
): Promise<Record<string, unknown>> {
  const names = ["config.json", "adapter_config.json"];
  const file = listing.files.find(({ path }) => names.includes(path));
  return file === undefined ? {} : readObject(await fetchFile(session, model, listing.commit, file));
}

async function readIndex(
  byName: ReadonlyMap<string, HubFile>,
  session: HubSession,
  model: MissingModel,
  commit: string,
): Promise<{ name: string; shards: string[] } | undefined> {
  const name = modelWeightFiles([...byName.keys()])?.index;
  const file = name === undefined ? undefined : byName.get(name);
  if (name === undefined || file === undefined) return undefined;
  const { weight_map } = readObject(await fetchFile(session, model, commit, file));
  const named = isObject(weight_map) ? Object.values(weight_map) : [];
  return { name, shards: [...new Set(named.filter((shard) => typeof shard === "string"))] };
}

/** Empty where the file holds something else: what that means is said when the model is read. */
function readObject(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = parsePythonJson(new TextDecoder().decode(bytes));
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

/** A small file's content, held to its checksum. A wrong one is fetched once more. */
async function fetchFile(
  session: HubSession,
  model: MissingModel,
  commit: string,
  file: HubFile,
): Promise<Uint8Array<ArrayBuffer>> {
  const url = resolveUrl(session, model.id, commit, file.path);
  for (let tries = 0; tries < 2; tries++) {
    const { body } = await fetchWhole(session, url, { "accept-encoding": "identity" });
    const checksum = checksumFor(file.etag, file.size);
    checksum.update(body);
    if (checksum.digest() === file.etag) return body;
  }
  throw new SinterError(wrongChecksum(file));
}

/** A file that came whole, and not as it was sent. */
export function wrongChecksum(file: HubFile): Problem {
  return {
    code: "hub-checksum",
    message: `${file.path} did not arrive as the Hub has it: its checksum is not ${file.etag}`,
    hint: "run the same command again; if it happens again, a proxy or a mirror (HF_ENDPOINT) may change what it passes on",
  };
}

function noWeights(model: MissingModel, names: readonly string[]): Problem {
  const gguf = names.find((name) => name.endsWith(".gguf"));
  if (gguf !== undefined) {
    return {
      code: "gguf-model",
      message: `"${model.id}" has its weights only in GGUF format (${gguf}), which cannot be merged`,
      hint: "name the repository of the model's original weights, and convert the merged model to GGUF",
    };
  }
  return {
    code: "no-weights",
    message: `"${model.id}" has no weights in its first level: no *.safetensors, *.bin or *.pt`,
    hint: "name a repository with the model's weights in safetensors",
  };
}

/** What went wrong for one model. @throws what no model is to blame for: the end of the session, faults of our own. */
export async function explain(session: HubSession, model: MissingModel, error: unknown): Promise<readonly Problem[]> {
  if (session.signal.aborted) throw session.signal.reason;
  if (error instanceof SinterError) return error.problems;
  if (!(error instanceof Refusal)) throw error;
  if (error.errorCode !== "RevisionNotFound") return [explainRefusal(error, model, session.settings)];
  return [noRevision(model, session.settings, await listRevisions(session, model.id))];
}

/** Puts a model's problem into the report with its place. What is wrong with the server is told once. */
export function reportFor(model: MissingModel, problem: Problem, report: Report): void {
  const isKnown = report.errors.some(({ code, message }) => code === problem.code && message === problem.message);
  if (isKnown) return;
  const hint = [slipOf(model, problem), problem.hint].filter((line) => line !== undefined).join(" ");
  report.error({ ...problem, at: model.at, model: formatModelPath(model.path), hint: hint === "" ? undefined : hint });
}

/** A folder that may have been meant: the Hub is asked about every name that it could have. */
function slipOf({ path }: MissingModel, { code }: Problem): string | undefined {
  const isLost = code === "model-not-found" || code === "hub-unreachable";
  return isLost ? didYouMean(resolve(expandHome(path.path))) : undefined;
}
