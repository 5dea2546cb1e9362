import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { merge, type Problem, plan, type Recipe, SinterError } from "../../src/index.ts";
import { planHash } from "../../src/plan/hash.ts";
import { linear, writeTinyModels } from "../commands/tiny-models.ts";

let folder = "";
let recipe: Recipe;

beforeEach(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-library-"));
  writeTinyModels(folder);
  const models = ["a", "b"].map((name) => ({ model: join(folder, name), parameters: { weight: 1 } }));
  recipe = { merge_method: "linear", models, dtype: "bfloat16" };
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The problems that a promise rejects with. */
async function problems(promise: Promise<unknown>): Promise<readonly Problem[]> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SinterError);
  return (error as SinterError).problems;
}

describe("plan", () => {
  test("takes a value, a text and the path of a file, and makes the same plan of them", async () => {
    const hash = planHash(await plan(recipe));
    const text = linear(join(folder, "b")).replace("./a", join(folder, "a"));
    expect(planHash(await plan({ text }))).toBe(hash);
    await Bun.write(join(folder, "there.yml"), text);
    expect(planHash(await plan(join(folder, "there.yml")))).toBe(hash);
  });

  test("writes nothing", async () => {
    const before = readdirSync(folder);
    await plan(recipe);
    expect(readdirSync(folder)).toEqual(before);
  });

  test("rejects with every problem and its place, and prints nothing", async () => {
    const text = "merge_method: tise\nmodels:\n  - model: ./nowhere\n";
    const found = await problems(plan({ text, name: "mine.yml" }));
    expect(found.map(({ code, at }) => [code, at?.file, at?.line])).toEqual([
      ["unknown-method", "mine.yml", 1],
      ["model-not-found", "mine.yml", 3],
    ]);
  });

  test("tells warnings, also where errors follow", async () => {
    const warnings: string[] = [];
    const onWarning = ({ code }: Problem) => warnings.push(code);
    await problems(plan({ ...recipe, merge_method: "tise", modles: 1 }, { onWarning }));
    expect(warnings).toEqual(["unknown-key"]);
  });

  test("takes the options of sinter merge; what is undefined has its default", async () => {
    const { seed, shards } = await plan(recipe, { seed: 7, outShardSize: 600, strict: undefined as never });
    expect(seed).toBe(7);
    expect(shards.length).toBeGreaterThan(1);
  });
});

describe("what is no configuration, no folder and no option", () => {
  const wrong = (value: unknown) => value as never;

  test("is refused before anything is done, all at once, each with what it should be", async () => {
    const options = { seed: 1.5, outShardSize: "5GB", lmHead: "zzz", nan: "boo", threads: -1, forse: true, signal: {} };
    const out = join(folder, "out");
    const found = await problems(merge(recipe, out, wrong(options)));
    expect(found.map(({ code, message }) => `${code}: ${message}`)).toEqual([
      "option-value: the option seed must be a whole number of at least 0",
      "option-value: the option outShardSize must be a whole number of at least 1",
      "option-value: the option lmHead must be one of auto, tied, materialize",
      "option-value: the option nan must be one of warn, error, ignore",
      "option-value: the option threads must be a whole number of at least 0",
      "unknown-option: no such option: forse",
      "option-value: the option signal must be an AbortSignal",
    ]);
    expect(found[5]?.hint).toBe("did you mean force?");
    expect(existsSync(out)).toBe(false);
  });

  test.each([undefined, null, 7, []])("%p is no configuration", async (config) => {
    expect((await problems(plan(wrong(config)))).map(({ code }) => code)).toEqual(["config-type"]);
    expect((await problems(merge(wrong(config), "out"))).map(({ code }) => code)).toEqual(["config-type"]);
  });

  test.each([undefined, "", 7])("%p is no folder", async (out) => {
    expect((await problems(merge(recipe, wrong(out)))).map(({ code }) => code)).toEqual(["missing-argument"]);
  });

  test("one set of options may be given to both functions", async () => {
    const options = { threads: 1, seed: 7, force: true };
    await merge(await plan(recipe, options as object), join(folder, "out"), options);
  });
});

describe("merge", () => {
  test("writes the model, and tells how far it is until all bytes are done", async () => {
    const seen: [done: number, total: number][] = [];
    const out = join(folder, "out");
    const result = await merge(recipe, out, { onProgress: ({ bytes, totalBytes }) => seen.push([bytes, totalBytes]) });
    expect(result).toMatchObject({ folder: out, warnings: [] });
    expect(existsSync(join(out, "model.safetensors"))).toBe(true);
    expect(result.checksums.size).toBe(21);
    const [done, total] = seen.at(-1) ?? [];
    expect(done).toBe(total as number);
    expect(seen.every(([before], i) => before <= (seen[i + 1]?.[0] ?? Number.POSITIVE_INFINITY))).toBe(true);
  });

  test("carries out a plan: the same bytes as of its configuration", async () => {
    await merge(recipe, join(folder, "one"));
    await merge(await plan(recipe), join(folder, "two"));
    const weights = (name: string) => readFileSync(join(folder, name, "model.safetensors"));
    expect(weights("two")).toEqual(weights("one"));
  });

  test("refuses a folder that holds a model, unless it is forced", async () => {
    const out = join(folder, "out");
    await merge(recipe, out);
    expect((await problems(merge(recipe, out))).map(({ code }) => code)).toEqual(["output-holds-model"]);
    expect((await merge(recipe, out, { force: true })).folder).toBe(out);
  });

  test("stops with the signal's reason, and leaves nothing", async () => {
    const controller = new AbortController();
    controller.abort(new Error("enough"));
    const out = join(folder, "out");
    expect(merge(recipe, out, { signal: controller.signal })).rejects.toThrow("enough");
    expect(existsSync(out)).toBe(false);
  });
});
