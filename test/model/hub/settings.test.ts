import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { SinterError } from "../../../src/errors.ts";
import { hubSettings } from "../../../src/model/hub/settings.ts";
import { isOffline } from "../../../src/model/hub-cache.ts";

let home = "";
beforeAll(() => {
  home = mkdtempSync(join(realpathSync(tmpdir()), "sinter-home-"));
  writeFileSync(join(home, "token"), "hf_stored\n");
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

function codeOf(env: Record<string, string>): string | undefined {
  try {
    hubSettings(undefined, env);
    return undefined;
  } catch (error) {
    return error instanceof SinterError ? error.problems[0]?.code : String(error);
  }
}

test("without an environment, everything is where Hugging Face's programs have it", () => {
  const settings = hubSettings(undefined, { HF_TOKEN_PATH: join(home, "none") });
  expect(settings.endpoint).toBe("https://huggingface.co");
  expect(settings.cacheDir).toBe(join(homedir(), ".cache", "huggingface", "hub"));
  expect(settings.token).toBeUndefined();
  expect(settings.userAgent).toMatch(/^sinter\/\d/);
});

test("the endpoint may be a mirror with a path", () => {
  expect(hubSettings(undefined, { HF_ENDPOINT: "https://mirror.example/hf/" }).endpoint).toBe(
    "https://mirror.example/hf",
  );
});

test.each(["mirror.example", "ftp://mirror.example", "https://user@mirror.example", "https://x/?a=b"])(
  "%s is no endpoint",
  (HF_ENDPOINT) => {
    expect(codeOf({ HF_ENDPOINT })).toBe("hub-endpoint");
  },
);

test("the cache: as given, else HF_HUB_CACHE, else in HF_HOME", () => {
  const env = { HF_HUB_CACHE: "/x/cache", HF_HOME: "/x/hf" };
  expect(hubSettings("/x/given", env).cacheDir).toBe("/x/given");
  expect(hubSettings(undefined, env).cacheDir).toBe("/x/cache");
  expect(hubSettings(undefined, { HF_HOME: "/x/hf" }).cacheDir).toBe("/x/hf/hub");
});

test("the token: HF_TOKEN, else the stored one; spaces around it are none of it", () => {
  expect(hubSettings(undefined, { HF_HOME: home, HF_TOKEN: " hf_env\n" }).token).toBe("hf_env");
  expect(hubSettings(undefined, { HF_HOME: home }).token).toBe("hf_stored");
  expect(hubSettings(undefined, { HF_TOKEN_PATH: join(home, "token") }).token).toBe("hf_stored");
  expect(hubSettings(undefined, { HF_HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }).token).toBeUndefined();
});

test("a token that would break out of its header is refused, and not shown", () => {
  expect(codeOf({ HF_TOKEN: "hf_a\r\nX-Evil: 1" })).toBe("hub-token");
});

test.each([
  [{ HF_HUB_OFFLINE: "1" }, true],
  [{ HF_HUB_OFFLINE: "yes" }, true],
  [{ TRANSFORMERS_OFFLINE: "TRUE" }, true],
  [{ HF_HUB_OFFLINE: "0" }, false],
  [{ HF_HUB_OFFLINE: "" }, false],
  [{}, false],
])("%j is offline: %p", (env, offline) => {
  expect(isOffline(env)).toBe(offline);
});
