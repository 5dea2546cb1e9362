import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { effectsOf } from "../../src/bench/effect.ts";
import { partOf } from "../../src/bench/parts.ts";
import { runBench } from "../../src/bench/run.ts";
import type { BenchEvents, BenchRequest, Effect } from "../../src/bench/types.ts";
import { SinterError } from "../../src/errors.ts";
import { findMethod, methods } from "../../src/methods/index.ts";
import type { MergeMethod } from "../../src/methods/types.ts";
import { native } from "../../src/native.ts";
import { DEFAULT_OPTIONS } from "../../src/plan/types.ts";
import { silentProgress } from "../../src/run/progress.ts";
import { decode, encode } from "../oracle/dtype.ts";
import type { StoredTensor } from "../support/safetensors.ts";
import { writeTinyModel, writeWeights } from "../support/tiny-qwen2.ts";
import { compared } from "./effect-oracle.ts";

const ADDON_BUILT = existsSync(resolve(import.meta.dir, "../../build/Release/sinter.node"));
const SILENT: BenchEvents = { step: () => silentProgress };

type Tensors = ReadonlyMap<string, StoredTensor>;
let folder = "";
let scratch = "";
let base: Tensors;
let a: Tensors;
let b: Tensors;

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-bench-test-"));
  scratch = join(folder, "scratch");
  base = writeTinyModel(join(folder, "base"), { seed: 1 });
  a = writeTinyModel(join(folder, "a"), { seed: 2, base });
  b = writeTinyModel(join(folder, "b"), { seed: 3, base }, { shards: 2, padding: 3 });
  writeTinyModel(join(folder, "untied"), { seed: 4, base, tied: false });
  const damaged = writeTinyModel(join(folder, "nan"), { seed: 6, base });
  damaged.get("model.embed_tokens.weight")?.bytes.set(encode([Number.NaN], "BF16"));
  writeWeights(join(folder, "nan"), damaged);
  writeTinyModel(join(folder, "short"), { seed: 5, vocab: 38 });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function request(changes: Partial<Omit<BenchRequest, "methods">> & { methods?: readonly string[] }): BenchRequest {
  const { methods: names, ...rest } = changes;
  const at = (name: string) => join(folder, name);
  return {
    models: ["a", "b"].map(at),
    base: at("base"),
    values: new Map(),
    dtype: undefined,
    options: { ...DEFAULT_OPTIONS, copyTokenizer: false, writeModelCard: false },
    scratch,
    repeat: 1,
    sync: false,
    methods: names?.map((name) => findMethod(name) as MergeMethod) ?? methods,
    ...rest,
  };
}

function bench(changes: Parameters<typeof request>[0], signal?: AbortSignal, events = SILENT) {
  return runBench(request(changes), native(), signal, events);
}

const values = (tensors: Tensors, name: string) => {
  const tensor = tensors.get(name) as StoredTensor;
  return decode(tensor.bytes, tensor.dtype as "BF16");
};

/** The effects of a merge that makes `merged(name)` of every tensor, in float64. */
function expectedEffects(merged: (name: string) => ArrayLike<number>): Effect[] {
  const tensors = [...base.keys()].map((name) => {
    const reference = values(base, name);
    return {
      part: partOf(name),
      elements: reference.length,
      compared: compared(reference, merged(name), [values(a, name), values(b, name)]),
    };
  });
  return effectsOf(tensors, 2);
}

function expectClose(actual: readonly Effect[] | undefined, expected: readonly Effect[]): void {
  expect(actual?.map(({ part, tensors, elements }) => [part, tensors, elements])).toEqual(
    expected.map(({ part, tensors, elements }) => [part, tensors, elements]),
  );
  expected.forEach((effect, i) => {
    const found = actual?.[i] as Effect;
    for (const key of ["referenceNorm", "changeNorm", "relativeChange"] as const) {
      expect(Math.abs(found[key] / effect[key] - 1)).toBeLessThan(1e-6);
    }
    effect.cosines.forEach((cosine, j) => {
      expect(found.cosines[j]).toBeCloseTo(cosine, 6);
    });
    expect(found.density).toBe(effect.density);
    expect(found.signConflicts).toBe(effect.signConflicts);
  });
}

const mean = (name: string) => {
  const other = values(b, name);
  return values(a, name).map((value, i) => (value + (other[i] as number)) / 2);
};

describe.skipIf(!ADDON_BUILT)("with the addon", () => {
  test("the effect of a merge is that of a float64 recomputation", async () => {
    const { measured } = await bench({ methods: ["linear"], dtype: "float32" });
    expectClose(measured[0]?.effects, expectedEffects(mean));
  });

  test("the effect is measured on the output as it was rounded", async () => {
    const { measured } = await bench({ methods: ["linear"] });
    expectClose(
      measured[0]?.effects,
      expectedEffects((name) => decode(encode(mean(name), "BF16"), "BF16")),
    );
  });

  test("a model's own effect is its distance from the reference", async () => {
    const { modelEffects } = await bench({ methods: ["linear"] });
    expectClose(
      modelEffects[1]?.effects,
      expectedEffects((name) => values(b, name)),
    );
    expect(modelEffects.map(({ effects }, i) => effects.at(-1)?.cosines[i])).toEqual([1, 1]);
  });

  test("all methods run, or say why they are skipped, in their order", async () => {
    const { measured, skipped, models, reference } = await bench({});
    expect(reference).toBe(join(folder, "base"));
    expect(models).toHaveLength(2);
    expect(skipped.map(({ method }) => method)).toEqual(["passthrough", "slerp", "nearswap", "arcee_fusion"]);
    const left = methods.filter(({ name }) => !skipped.some(({ method }) => method === name));
    expect(measured.map(({ method }) => method)).toEqual(left.map(({ name }) => name));
    for (const { seconds, runs, bytesRead, bytesWritten, notCompared } of measured) {
      expect(seconds).toBeGreaterThan(0);
      expect(runs).toEqual([seconds]);
      expect(bytesRead).toBeGreaterThan(0);
      expect(bytesWritten).toBeGreaterThan(0);
      expect(notCompared).toEqual([]);
    }
  });

  test("without a base, changes are measured against the first model", async () => {
    const { measured, reference, base: none } = await bench({ base: undefined, methods: ["slerp"] });
    expect([reference, none]).toEqual([join(folder, "a"), undefined]);
    const total = measured[0]?.effects.at(-1);
    expect(total?.cosines[0]).toBeNaN();
    expect(total?.cosines[1]).toBeGreaterThan(0.9);
  });

  test("a thinned-out merge shows in the density of its change", async () => {
    const density = async (share: number) => {
      const { measured } = await bench({ methods: ["ties"], values: new Map([["density", share]]) });
      return measured[0]?.effects.at(-1)?.density as number;
    };
    expect(await density(0.1)).toBeLessThan(0.25);
    expect(await density(1)).toBeGreaterThan(0.8);
  });

  test("a head that one model ties and another does not is compared with the embedding", async () => {
    const { measured } = await bench({
      models: ["a", "untied"].map((name) => join(folder, name)),
      methods: ["linear"],
    });
    expect(measured[0]?.effects.map(({ part }) => part)).toContain("head");
    expect(measured[0]?.notCompared).toEqual([]);
  });

  test("rows that not all models have are left out of the comparison", async () => {
    const { measured } = await bench({ base: join(folder, "short"), methods: ["linear"] });
    const embedding = measured[0]?.effects.find(({ part }) => part === "embedding");
    expect(embedding?.elements).toBe(38 * 16);
    expect(measured[0]?.notCompared).toEqual([]);
  });

  test("the seconds of several runs are their median", async () => {
    const steps: string[] = [];
    const events: BenchEvents = {
      step(title) {
        steps.push(title);
        return silentProgress;
      },
    };
    const { measured, repeat } = await bench({ methods: ["linear"], repeat: 3 }, undefined, events);
    expect(repeat).toBe(3);
    expect(measured[0]?.runs).toHaveLength(3);
    expect(measured[0]?.seconds).toBe(measured[0]?.runs.toSorted((x, y) => x - y)[1] as number);
    expect(steps).toContain("linear (1 of 1, run 2 of 3)");
  });

  test("nothing is left, neither the outputs nor the folder that was made for them", async () => {
    await bench({ methods: ["linear"] });
    expect(existsSync(scratch)).toBe(false);
    const existing = mkdtempSync(join(folder, "existing-"));
    await bench({ methods: ["linear"], scratch: existing });
    expect(readdirSync(existing)).toEqual([]);
  });

  test("a signal stops it at any step, and nothing is left", async () => {
    const all: string[] = [];
    await bench({ methods: ["linear", "ties"] }, undefined, {
      step(title) {
        all.push(title);
        return silentProgress;
      },
    });
    for (const stopAt of all) {
      const controller = new AbortController();
      const events: BenchEvents = {
        step(title) {
          if (title === stopAt) controller.abort(new SinterError({ code: "interrupted", message: "stop" }, 130));
          return silentProgress;
        },
      };
      const running = bench({ methods: ["linear", "ties"] }, controller.signal, events);
      expect(await running.catch((error: SinterError) => error.exitCode)).toBe(130);
      expect(existsSync(scratch)).toBe(false);
    }
  });

  test("a NaN in an input is a warning, once, and its part has no figures", async () => {
    const { measured, warnings } = await bench({
      models: ["a", "nan"].map((name) => join(folder, name)),
      methods: ["linear", "ties"],
    });
    expect(warnings.map(({ code }) => code)).toEqual(["non-finite"]);
    const [embedding, attention] = measured[0]?.effects ?? [];
    expect(embedding?.changeNorm).toBeNaN();
    expect(attention?.changeNorm).toBeGreaterThan(0);
  });

  test("values that a method refuses skip that method with its reason", async () => {
    const { measured, skipped } = await bench({ methods: ["ties", "della"], values: new Map([["density", 0.95]]) });
    expect(measured.map(({ method }) => method)).toEqual(["ties"]);
    expect(skipped[0]?.method).toBe("della");
    expect(skipped[0]?.reason).toContain("density - epsilon and density + epsilon must lie between 0 and 1");
  });

  test("no method that fits is an error with every reason", async () => {
    const failed = await bench({ base: undefined, methods: ["ties", "passthrough"] }).catch(
      (error: SinterError) => error,
    );
    expect((failed as SinterError).problems.map(({ message }) => message)).toEqual([
      "ties: needs a base model: --base",
      "passthrough: merges 1 model, not 2",
    ]);
  });

  test("a model that is not there is named once, without a place in a file that nobody wrote", async () => {
    const failed = await bench({ models: [join(folder, "nowhere")] }).catch((error: SinterError) => error);
    const { problems } = failed as SinterError;
    expect(problems).toHaveLength(1);
    expect(problems[0]?.code).toBe("model-not-found");
    expect(problems[0]?.at).toBeUndefined();
    expect(existsSync(scratch)).toBe(false);
  });

  test("outputs are not put into the folder of an input", async () => {
    const failed = await bench({ scratch: join(folder, "a") }).catch((error: SinterError) => error);
    expect((failed as SinterError).problems[0]?.code).toBe("output-is-input");
    expect(readdirSync(join(folder, "a")).filter((name) => name.startsWith("sinter"))).toEqual([]);
  });

  test("more models than one comparison takes are refused before anything is read", async () => {
    const many = Array.from({ length: 63 }, () => join(folder, "nowhere"));
    const failed = await bench({ models: many }).catch((error: SinterError) => error);
    expect((failed as SinterError).problems[0]?.code).toBe("too-many-models");
  });
});
