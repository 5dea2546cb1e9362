import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import pkg from "../../../package.json" with { type: "json" };
import { SinterError } from "../../errors.ts";
import { type Environment, expandHome, hubCacheDir, huggingFaceHome, isTrue } from "../hub-cache.ts";

/** Where the Hub is, who asks, and where what comes from it is kept. */
export interface HubSettings {
  /** An http(s) address without a slash at its end. */
  endpoint: string;
  token: string | undefined;
  /** Absolute path of the folder of the `models--…` folders. */
  cacheDir: string;
  userAgent: string;
  /** A server that sends nothing for so long is given up. */
  silenceMs: number;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";
const DEFAULT_SILENCE_MS = 30_000;

/**
 * What the environment says about the Hub, in the names that Hugging Face's own programs go by.
 * @param cacheDir the folder of the cache's `models--…` folders; undefined: the environment's.
 * @throws SinterError where HF_ENDPOINT is no address, or the token cannot be sent.
 */
export function hubSettings(cacheDir: string | undefined, env: Environment = process.env): HubSettings {
  const seconds = Number(env.HF_HUB_DOWNLOAD_TIMEOUT);
  return {
    endpoint: readEndpoint(env.HF_ENDPOINT),
    token: readToken(env),
    cacheDir: resolve(hubCacheDir(cacheDir, env)),
    userAgent: `sinter/${pkg.version}`,
    silenceMs: seconds > 0 ? seconds * 1000 : DEFAULT_SILENCE_MS,
  };
}

function readEndpoint(given: string | undefined): string {
  const text = (given || DEFAULT_ENDPOINT).trim();
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "") {
    throw new SinterError({
      code: "hub-endpoint",
      message: `HF_ENDPOINT is no address of a server: "${text}"`,
      hint: `write it as ${DEFAULT_ENDPOINT}`,
    });
  }
  return text.replace(/\/+$/, "");
}

/** The user's token: from the environment, else the file that `hf auth login` writes. */
function readToken(env: Environment): string | undefined {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const token = (env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || storedToken(env) || "").trim();
  if (token === "") return undefined;
  // A header with anything else in it would be refused, or be two headers.
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new SinterError({
    code: "hub-token",
    message:
      "the Hugging Face token (HF_TOKEN, or the file that `hf auth login` wrote) holds characters that no token has",
    hint: "set HF_TOKEN again, or run `hf auth login`",
  });
}

function storedToken(env: Environment): string | undefined {
  const path = env.HF_TOKEN_PATH ? expandHome(env.HF_TOKEN_PATH) : join(huggingFaceHome(env), "token");
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Most users have none. One that cannot be read shows when the Hub asks for it: then the message says how to set it.
    return undefined;
  }
}
