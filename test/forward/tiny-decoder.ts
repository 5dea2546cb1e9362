import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { understandModel } from "../../src/commands/open-model.ts";
import { Report } from "../../src/errors.ts";
import { type Decoder, readDecoder } from "../../src/forward/decoder.ts";
import type { ForwardModel } from "../../src/forward/types.ts";
import { openModel } from "../../src/model/folder.ts";
import { parseModelRef } from "../../src/model/ref.ts";
import { encode } from "../oracle/dtype.ts";
import { type StoredTensor, writeSafetensors } from "../support/safetensors.ts";

/** What Transformers made of a tiny model: see record.py. */
export interface Recorded {
  config: Record<string, unknown>;
  shapes: Record<string, number[]>;
  ids: number[][];
  /** layers x sequences x width. */
  last: number[];
  average: number[];
  /** Of all tokens of all sequences; 0 for the first of each. */
  logProbabilities: number[];
}

const FOLDER = join(import.meta.dir, "recorded");

export const RECORDED_NAMES = readdirSync(FOLDER)
  .map((file) => file.replace(/\.json$/, ""))
  .sort();

export function recorded(name: string): Recorded {
  return JSON.parse(readFileSync(join(FOLDER, `${name}.json`), "utf8"));
}

/** The weights that record.py gave the model. */
export function recordedTensors({ shapes, config }: Recorded): Map<string, StoredTensor> {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const dtype = config.torch_dtype === "bfloat16" ? "BF16" : "F32";
  return new Map(
    Object.entries(shapes).map(([name, shape]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      const values = Float64Array.from({ length: count }, next).map((value) => {
        if (name.endsWith("norm.weight")) return Math.fround(1 + 0.3 * value);
        return Math.fround(name.includes("embed") ? value : 0.35 * value);
      });
      return [name, { dtype, shape, bytes: encode(values, dtype) }];
    }),
  );
}

/** Writes a model folder; `config` replaces keys, `without` leaves tensors out. */
export function writeRecorded(
  folder: string,
  from: Recorded,
  { config = {}, without = [] }: { config?: Record<string, unknown>; without?: readonly string[] } = {},
): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...from.config, ...config }));
  const tensors = [...recordedTensors(from)].filter(([name]) => !without.includes(name));
  writeSafetensors(join(folder, "model.safetensors"), new Map(tensors));
}

export function openForward(folder: string): ForwardModel {
  const report = new Report();
  const ref = parseModelRef(folder);
  if (typeof ref === "string") throw new Error(ref);
  const model = openModel({ ref }, { cacheDir: undefined }, report);
  report.throwIfErrors();
  if (model === undefined) throw new Error("no model");
  return understandModel(model, undefined);
}

/** @throws SinterError with everything that is wrong. */
export function openDecoder(folder: string): Decoder {
  const report = new Report();
  const decoder = readDecoder(openForward(folder), report);
  report.throwIfErrors();
  return decoder as Decoder;
}
