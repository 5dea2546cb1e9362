import { describe, expect, test } from "bun:test";
import { closeSync, ftruncateSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { Report, SinterError } from "../../src/errors.ts";
import { readDecoder } from "../../src/forward/decoder.ts";
import { hiddenStates } from "../../src/forward/hidden-states.ts";
import { perplexity } from "../../src/forward/perplexity.ts";
import { type Addon, native } from "../../src/native.ts";
import { inFolder } from "../native/workbench.ts";
import { writeSafetensors } from "../support/safetensors.ts";
import { openDecoder, openForward, type Recorded, recorded, recordedTensors, writeRecorded } from "./tiny-decoder.ts";

const LLAMA = recorded("llama");

/** Everything that is wrong with a model, as one text. */
async function problemsOf(from: Recorded, changes: Parameters<typeof writeRecorded>[2]): Promise<string> {
  return await inFolder((folder) => {
    writeRecorded(folder, from, changes);
    const report = new Report();
    expect(readDecoder(openForward(folder), report)).toBeUndefined();
    return new SinterError(report.errors).message;
  });
}

async function failure(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SinterError);
  return (error as SinterError).message;
}

describe("a model that has no known forward pass is refused", () => {
  test("for its family, with the families that are known", async () => {
    const changes = { config: { model_type: "gpt2", architectures: ["GPT2LMHeadModel"], n_layer: 3 } };
    expect(await problemsOf(LLAMA, changes)).toMatch(
      /forward pass of the family gpt2.*\n.*llama, mistral, qwen2, qwen3/,
    );
  });

  test("for an activation, a rotary variant and sizes that do not fit, all at once", async () => {
    const found = await problemsOf(LLAMA, { config: { hidden_act: "gelu", num_key_value_heads: 3, head_dim: 7 } });
    for (const text of ['hidden_act "gelu"', "must divide", "no pairs"]) expect(found).toContain(text);
    const rotary = await problemsOf(LLAMA, { config: { rope_scaling: { rope_type: "yarm", factor: 2 } } });
    expect(rotary).toMatch(/rope_type "yarm" is not known(.|\n)*default, linear, dynamic, yarn, longrope/);
  });

  test("for numbers that its rotary variant lacks", async () => {
    const found = await problemsOf(LLAMA, { config: { rope_scaling: { rope_type: "llama3", factor: "8" } } });
    for (const text of [
      "factor must be a number above 0",
      "low_freq_factor is missing",
      "high_freq_factor is missing",
    ]) {
      expect(found).toContain(text);
    }
    const short = { rope_type: "longrope", short_factor: [1, 2], long_factor: [1, 2, 3, 4] };
    expect(await problemsOf(LLAMA, { config: { rope_scaling: short } })).toContain("short_factor must be 4 numbers");
  });

  test("for every tensor that is missing or has another shape", async () => {
    const without = ["model.layers.1.mlp.up_proj.weight", "model.norm.weight"];
    const found = await problemsOf(LLAMA, { without, config: { intermediate_size: 40 } });
    for (const name of without) expect(found).toContain(`tensor ${name}`);
    expect(found).toMatch(/shape is \[48, 32\], but config\.json makes it \[40, 32\].*layers\.0\.mlp\.gate_proj/);
  });

  test("for tensors that hold no floats", async () => {
    await inFolder((folder) => {
      writeRecorded(folder, LLAMA);
      const tensors = recordedTensors(LLAMA);
      tensors.set("model.norm.weight", { dtype: "I8", shape: [32], bytes: new Uint8Array(32) });
      writeSafetensors(join(folder, "model.safetensors"), tensors);
      expect(() => openDecoder(folder)).toThrow("reads floats, not I8");
    });
  });
});

describe("tokens that a model cannot take are refused before any work", () => {
  const noWork = { openSource: () => expect.unreachable("no file is to be opened") } as unknown as Addon;

  test("ids beyond the vocabulary, empty texts, no text", async () => {
    await inFolder(async (folder) => {
      writeRecorded(folder, LLAMA);
      const decoder = openDecoder(folder);
      const beyond = hiddenStates(
        decoder,
        [Int32Array.of(1, 2), Int32Array.of(3, 50), new Int32Array(0)],
        "last",
        {},
        noWork,
      );
      const message = await failure(beyond);
      expect(message).toContain("text 2 of 3 has the token 50, but the embedding has 50 rows");
      expect(message).toContain("text 3 of 3 has no tokens");
      expect(await failure(hiddenStates(decoder, [], "average", {}, noWork))).toContain("no text");
      const windows = { window: 4, stride: 4 };
      expect(await failure(perplexity(decoder, Int32Array.of(1), windows, {}, noWork))).toContain("single token");
    });
  });

  test("probabilities of a model without a head", async () => {
    await inFolder(async (folder) => {
      const config = { architectures: ["LlamaModel"] };
      writeRecorded(folder, LLAMA, { without: ["lm_head.weight"], config });
      const decoder = openDecoder(folder);
      const windows = { window: 4, stride: 4 };
      expect(await failure(perplexity(decoder, Int32Array.of(1, 2), windows, {}, noWork))).toContain("no output head");
      const states = await hiddenStates(decoder, [Int32Array.of(1, 2)], "last");
      expect(states.values.every(Number.isFinite)).toBe(true);
    });
  });
});

test("a model with a NaN has no perplexity, and says so", async () => {
  await inFolder(async (folder) => {
    writeRecorded(folder, LLAMA);
    const tensors = recordedTensors(LLAMA);
    const weight = tensors.get("model.layers.0.mlp.down_proj.weight");
    new Float32Array(weight?.bytes.buffer as ArrayBuffer, weight?.bytes.byteOffset, 1)[0] = Number.NaN;
    writeSafetensors(join(folder, "model.safetensors"), tensors);
    const found = perplexity(openDecoder(folder), Int32Array.of(1, 2, 3), { window: 4, stride: 4 });
    expect(await failure(found)).toContain("not finite");
  });
});

test("a file that shrinks while it is read is an error that names it", async () => {
  await inFolder(async (folder) => {
    writeRecorded(folder, LLAMA);
    const decoder = openDecoder(folder);
    const path = join(folder, "model.safetensors");
    const addon = native();
    const shrinking: Addon = {
      ...addon,
      openSource: (file) => {
        const opened = addon.openSource(file);
        const fd = openSync(file, "r+");
        ftruncateSync(fd, statSync(file).size / 4);
        closeSync(fd);
        return opened;
      },
      forward: (request) => addon.forward(request),
      close: (handle) => addon.close(handle),
    };
    const found = hiddenStates(decoder, [Int32Array.of(1, 2, 3)], "last", {}, shrinking);
    expect(await failure(found)).toContain(`${path} shrank or failed`);
  });
});

test("a pass that is stopped rejects with the signal's reason", async () => {
  await inFolder(async (folder) => {
    writeRecorded(folder, LLAMA);
    const controller = new AbortController();
    const ids = Array.from({ length: 300 }, () => Int32Array.from({ length: 60 }, (_, i) => i % 50));
    const stopped = hiddenStates(openDecoder(folder), ids, "last", { signal: controller.signal });
    controller.abort(new SinterError({ code: "interrupted", message: "stopped by the test" }, 130));
    expect(await failure(stopped)).toBe("stopped by the test");
  });
});

test("native code refuses what does not fit together", async () => {
  await inFolder(async (folder) => {
    writeRecorded(folder, LLAMA);
    const addon = native();
    const { handle } = addon.openSource(join(folder, "model.safetensors"));
    const embedding = { source: handle, offset: 0, dtype: "F32" } as const;
    const request = {
      width: 4,
      heads: 2,
      keyHeads: 1,
      headSize: 2,
      intermediate: 4,
      vocabulary: 8,
      epsilon: 1e-5,
      frequencies: [1],
      rotaryScale: 1,
      embedding,
      layers: [],
      ids: Int32Array.of(1, 2),
      lengths: [2],
      states: "last",
      logProbabilities: false,
    } as const;
    expect((await addon.forward(request)).states.length).toBe(0);
    const refused = (changes: object) => expect(() => addon.forward({ ...request, ...changes }));
    refused({ ids: Int32Array.of(1, 8) }).toThrow("beyond the vocabulary");
    refused({ ids: Int32Array.of(1, -1) }).toThrow("beyond the vocabulary");
    refused({ lengths: [1] }).toThrow("add up");
    refused({ lengths: [2, 0] }).toThrow("lengths");
    refused({ keyHeads: 3 }).toThrow("divide");
    refused({ frequencies: [] }).toThrow("frequency");
    refused({ vocabulary: 2 ** 30 }).toThrow("beyond the end");
    refused({ logProbabilities: true }).toThrow("object is missing");
    refused({ layers: [{}] }).toThrow("object is missing");
    addon.close(handle);
    refused({}).toThrow("no such source");
  });
});
