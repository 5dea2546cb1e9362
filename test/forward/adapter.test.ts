import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { planApplied } from "../../src/commands/apply-adapter.ts";
import { understandModel } from "../../src/commands/open-model.ts";
import { Report } from "../../src/errors.ts";
import { type Decoder, readDecoder } from "../../src/forward/decoder.ts";
import { hiddenStates } from "../../src/forward/hidden-states.ts";
import { perplexity } from "../../src/forward/perplexity.ts";
import { openReference } from "../../src/lora/open.ts";
import { type ModelRef, parseModelRef } from "../../src/model/ref.ts";
import type { TensorView } from "../../src/model/types.ts";
import { native } from "../../src/native.ts";
import { DEFAULT_OPTIONS } from "../../src/plan/types.ts";
import { runPlan } from "../../src/run/run.ts";
import { factorShapes, type Shapes, someTensors, writeAdapter } from "../lora/peft.ts";
import { inFolder } from "../native/workbench.ts";
import { encode } from "../oracle/dtype.ts";
import { type StoredTensor, writeSafetensors } from "../support/safetensors.ts";
import { openDecoder, type Recorded, recorded, recordedTensors, writeRecorded } from "./tiny-decoder.ts";

const addon = native();
afterAll(() => addon.configure({}));

function linearModules({ shapes }: Recorded): Record<string, readonly [number, number]> {
  const linear = Object.entries(shapes).filter(([name]) => /_proj\.weight$/.test(name));
  return Object.fromEntries(
    linear.map(([name, [outputs = 0, inputs = 0]]) => [name.slice(0, -".weight".length), [inputs, outputs] as const]),
  );
}

function openWithAdapter(folder: string): Decoder {
  const report = new Report();
  const model = openReference({ ref: refOf(folder) }, { cacheDir: undefined }, report);
  report.throwIfErrors();
  const decoder = model && readDecoder(understandModel(model, undefined), report);
  report.throwIfErrors();
  return decoder as Decoder;
}

function refOf(folder: string): ModelRef {
  return parseModelRef(`${folder}/base+${folder}/adapter`) as ModelRef;
}

/** Writes the model with its adapter as float32: what `sinter lora convert` does. */
async function writeApplied(folder: string): Promise<void> {
  const report = new Report();
  const options = { ...DEFAULT_OPTIONS, copyTokenizer: false };
  const plan = planApplied(refOf(folder), "F32", options, "applied", report);
  await runPlan(plan, join(folder, "applied"), { force: true, resume: false, nan: "warn", sync: false }, addon, {
    progress() {},
  });
}

async function everything(decoder: Decoder, { ids }: Pick<Recorded, "ids">) {
  const sequences = ids.map((one) => Int32Array.from(one));
  const { values } = await hiddenStates(decoder, sequences, "average");
  const windows = { window: 64, stride: 32 };
  return { values, loss: (await perplexity(decoder, Int32Array.from(ids.flat()), windows)).loss };
}

/** Low-rank changes of every linear layer, of the embedding, and what else the config asks for. */
function adapterShapes(from: Recorded, { dora = false }): Shapes {
  const modules = linearModules(from);
  const [vocabulary, width] = from.shapes["model.embed_tokens.weight"] as [number, number];
  const magnitudes = Object.entries(modules).map(([path, [, outputs]]) => [`${path}.lora_magnitude_vector`, [outputs]]);
  return {
    ...factorShapes(modules, 4),
    ...(dora ? Object.fromEntries(magnitudes) : {}),
    "model.embed_tokens.lora_embedding_A": [4, vocabulary],
    "model.embed_tokens.lora_embedding_B": [width, 4],
    ...(dora ? { "model.embed_tokens.lora_magnitude_vector": [width] } : {}),
  };
}

const TARGETS = ["embed_tokens", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/** A recorded model, and an adapter of it in PEFT's layout. */
function writeBoth(folder: string, from: Recorded, dora: boolean): void {
  writeRecorded(join(folder, "base"), from);
  const tensors = someTensors(adapterShapes(from, { dora }), 5, "BF16", 0.5);
  writeAdapter(join(folder, "adapter"), { use_dora: dora, target_modules: TARGETS }, tensors);
}

describe("a forward pass of a model with an adapter", () => {
  const cases: [string, boolean][] = [
    ["llama-biases", false],
    ["qwen2", false],
    ["llama-bfloat16", true],
    ["qwen3-window", true],
  ];
  test.each(cases)("is that of the model with the adapter applied, to the bit: %s, DoRA %p", async (name, dora) => {
    await inFolder(async (folder) => {
      const from = recorded(name);
      writeBoth(folder, from, dora);
      await writeApplied(folder);
      const plain = await everything(openDecoder(join(folder, "base")), from);
      for (const target of addon.info().targets) {
        for (const threads of [1, 2]) {
          addon.configure({ target, threads });
          const found = await everything(openWithAdapter(folder), from);
          expect(found).toEqual(await everything(openDecoder(join(folder, "applied")), from));
          expect(Math.abs(found.loss - plain.loss)).toBeGreaterThan(1e-3);
        }
      }
    });
  });

  /** PEFT 0.21, in float64, the adapter merged: a tied head follows its embedding then. By sequence of two tokens or more. */
  const peft: [string, boolean, number[]][] = [
    ["llama-biases", false, [4.171360150902961, 4.6583772304937066, 4.366352503149788]],
    ["qwen3-window", true, [4.954337432219559, 4.679083585189435, 4.949619266276456]],
    ["qwen2", false, [11.793810120806729, 13.548540936893197, 13.182722215489349]],
    ["llama-bfloat16", true, [3.919639305259193, 3.8678153822796726, 4.080721178721436]],
  ];
  test.each(peft)("is that of PEFT: %s, DoRA %p", async (name, dora, losses) => {
    await inFolder(async (folder) => {
      const from = recorded(name);
      writeBoth(folder, from, dora);
      const decoder = openWithAdapter(folder);
      const found: number[] = [];
      for (const ids of from.ids.filter(({ length }) => length > 1)) {
        const windows = { window: ids.length, stride: ids.length };
        found.push((await perplexity(decoder, Int32Array.from(ids), windows)).loss);
      }
      found.forEach((loss, i) => {
        expect(Math.abs(loss / (losses[i] as number) - 1)).toBeLessThan(2e-5);
      });
    });
  });

  test("takes large weights some rows at a time", async () => {
    await inFolder(async (folder) => {
      const from = recorded("llama-biases");
      const wide = 66_000;
      const vocabulary = 17_000;
      const resized = (shape: number[]) =>
        shape.map((size) => (size === from.config.intermediate_size ? wide : size === 50 ? vocabulary : size));
      const layers = Object.entries(from.shapes).filter(([name]) => !/layers\.[^0]/.test(name));
      const large: Recorded = {
        ...from,
        config: { ...from.config, num_hidden_layers: 1, intermediate_size: wide, vocab_size: vocabulary },
        shapes: Object.fromEntries(layers.map(([name, shape]) => [name, resized(shape)])),
        ids: [[3, 16_999, 12, 16_500]],
      };
      writeRecorded(join(folder, "base"), large);
      const modules = { ...linearModules(large), lm_head: [32, vocabulary] as const };
      writeAdapter(join(folder, "adapter"), {}, someTensors(factorShapes(modules, 4), 6));
      await writeApplied(folder);
      const found = await everything(openWithAdapter(folder), large);
      expect(found).toEqual(await everything(openDecoder(join(folder, "applied")), large));
    });
  });

  test("reads weights that are stored transposed", async () => {
    await inFolder(async (folder) => {
      const from = recorded("llama");
      writeRecorded(join(folder, "base"), from);
      const decoder = openDecoder(join(folder, "base"));
      const expected = await everything(decoder, from);
      const name = "model.layers.0.mlp.down_proj.weight";
      const { bytes, shape } = recordedTensors(from).get(name) as StoredTensor;
      const [rows = 0, columns = 0] = shape;
      const values = new Float32Array(bytes.slice().buffer);
      const turned = Float64Array.from({ length: values.length }, (_, i) => {
        return values[(i % rows) * columns + Math.floor(i / rows)] as number;
      });
      const stored = { dtype: "F32", shape: [columns, rows], bytes: encode(turned, "F32") } as const;
      writeSafetensors(join(folder, "turned.safetensors"), new Map([["w", stored]]));
      const file = join(folder, "turned.safetensors");
      const offset = readFileSync(file).length - bytes.length;
      const view: TensorView = { file, offset, dtype: "F32", shape, strides: [1, rows] };
      const layers = decoder.weights.layers.map((layer, i) => (i === 0 ? { ...layer, down: view } : layer));
      const found = await everything({ ...decoder, weights: { ...decoder.weights, layers } }, from);
      expect(found).toEqual(expected);
    });
  });

  test("names the model whose adapter shrinks while it is read", async () => {
    await inFolder(async (folder) => {
      const from = recorded("llama");
      writeRecorded(join(folder, "base"), from);
      // Larger than a page, so that the end is beyond the file once it is cut.
      const shapes = factorShapes(
        { "model.layers.0.mlp.down_proj": linearModules(from)["model.layers.0.mlp.down_proj"] ?? [0, 0] },
        500,
      );
      writeAdapter(join(folder, "adapter"), { r: 500 }, someTensors(shapes, 7));
      const decoder = openWithAdapter(folder);
      const sequences = [Int32Array.from(from.ids[0] as number[])];
      const shrunk = hiddenStates(
        decoder,
        sequences,
        "last",
        {},
        {
          ...addon,
          openSource(path) {
            const opened = addon.openSource(path);
            if (path.includes("adapter")) truncateSync(path, 100);
            return opened;
          },
          forward: (request) => addon.forward(request),
          close: (handle) => addon.close(handle),
        },
      );
      await expect(shrunk).rejects.toMatchObject({ problems: [{ code: "source-failed", model: decoder.name }] });
    });
  });
});
