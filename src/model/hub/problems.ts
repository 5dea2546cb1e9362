import { readdirSync } from "node:fs";
import { nearest, type Problem } from "../../errors.ts";
import { isFolder } from "../hub-cache.ts";
import type { MissingModel } from "../missing.ts";
import { formatModelPath } from "../ref.ts";
import { plainText, type Refusal } from "./request.ts";
import type { HubSettings } from "./settings.ts";

/** What a refusal of the Hub means for a model, and what to do about it. */
export function explainRefusal(refusal: Refusal, model: MissingModel, settings: HubSettings): Problem {
  const { errorCode, status } = refusal;
  if (errorCode === "GatedRepo") return gated(model, settings);
  if (errorCode === "RevisionNotFound") return noRevision(model, settings, []);
  if (status === 401 && settings.token !== undefined && errorCode !== "RepoNotFound")
    return badToken(refusal, settings);
  if (errorCode === "RepoNotFound" || status === 401 || (status === 404 && errorCode === undefined)) {
    return noRepository(model, settings);
  }
  if (status === 403) return forbidden(refusal, model, settings);
  return {
    code: "hub-refused",
    message: `${settings.endpoint} answered ${status} when asked for "${model.id}"${said(refusal)}`,
    hint: `look at ${page(model, settings)}`,
  };
}

/** @param known its branches and tags, for a suggestion. */
export function noRevision(model: MissingModel, settings: HubSettings, known: readonly string[]): Problem {
  const near = nearest(model.revision, known);
  const meant = near === undefined ? "" : `did you mean "${near}"? `;
  return {
    code: "revision-not-found",
    message: `the Hub has "${model.id}", but no revision "${model.revision}" of it`,
    hint: `${meant}${page(model, settings)}/commits lists them`,
  };
}

function gated(model: MissingModel, settings: HubSettings): Problem {
  const ask = `ask for access at ${page(model, settings)}`;
  if (settings.token === undefined) {
    return {
      code: "gated-model",
      message: `"${model.id}" is gated: its authors give access to users who asked for it`,
      hint: `${ask}; then set HF_TOKEN to a token of yours (${settings.endpoint}/settings/tokens), or run \`hf auth login\``,
    };
  }
  return {
    code: "gated-model",
    message: `"${model.id}" is gated, and the user of this token has no access to it (yet)`,
    hint: `${ask}; a fine-grained token must also allow reading gated repositories`,
  };
}

function badToken(refusal: Refusal, settings: HubSettings): Problem {
  return {
    code: "hub-token",
    message: `${settings.endpoint} does not accept the token${said(refusal)}`,
    hint:
      "set HF_TOKEN to a valid token, or run `hf auth login` (a token in HF_TOKEN goes before the one stored there); " +
      "public models need none",
  };
}

function noRepository(model: MissingModel, settings: HubSettings): Problem {
  const near = nearest(model.id, cachedIds(settings.cacheDir));
  const meant = near === undefined ? "check the spelling" : `did you mean "${near}"? (it is in the cache)`;
  const access =
    settings.token === undefined
      ? "a private model needs HF_TOKEN, or `hf auth login`"
      : "if it is private, the token must be of a user who may see it";
  return {
    code: "model-not-found",
    message: `"${formatModelPath(model.path)}" is no folder here, and the Hub shows no model "${model.id}"`,
    hint: `${meant}; ${access}`,
  };
}

function forbidden(refusal: Refusal, model: MissingModel, settings: HubSettings): Problem {
  return {
    code: "hub-forbidden",
    message: `${settings.endpoint} does not give "${model.id}" to this user${said(refusal)}`,
    hint: `look at ${page(model, settings)}; a fine-grained token must allow reading this repository`,
  };
}

function said({ reason }: Refusal): string {
  return reason === undefined ? "" : ` ("${plainText(reason)}")`;
}

function page(model: MissingModel, settings: HubSettings): string {
  return `${settings.endpoint}/${model.id}`;
}

function cachedIds(cacheDir: string): string[] {
  if (!isFolder(cacheDir)) return [];
  const folders = readdirSync(cacheDir).filter((name) => name.startsWith("models--"));
  return folders.map((name) => name.slice("models--".length).replace("--", "/"));
}
