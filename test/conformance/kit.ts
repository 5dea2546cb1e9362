import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Dtype, isFloat, parseTorchDtype } from "../../src/model/dtype.ts";
import { decode } from "../oracle/dtype.ts";
import { readSafetensors, type StoredTensor } from "../support/safetensors.ts";

/** One case of the kit, as `cases/index.json` says it. */
export interface Case {
  name: string;
  command: string;
  kind: "exact" | "statistical" | "error";
  note: string;
  expect: "match" | "better" | "refuse";
  /** The reference gives new tokens random ids: rows are compared by token. */
  compare?: "by_token";
  /** Said where the reference takes config.json and tokenizer files from an arbitrary model. */
  config_donor?: string;
  /** The reference's, where it failed: 2 for a wrong command line. */
  exit_code?: number;
}

/** A tensor of the reference's output. `stored` is undefined where it is random and was not recorded. */
export interface ExpectedTensor {
  dtype: Dtype;
  shape: readonly number[];
  stored: StoredTensor | undefined;
}

/** What the reference wrote. */
export interface Expected {
  tensors: ReadonlyMap<string, ExpectedTensor>;
  config: Record<string, unknown> | undefined;
  /** Side files by name, and the file of the kit that they equal. */
  sameBytesAs: ReadonlyMap<string, string>;
  /** Names of the recorded side files, config.json apart. */
  sideFiles: readonly string[];
}

/** Statistics of a tensor's change against the base, over seeds. */
export type Statistics = Readonly<Record<"changed_frac" | "delta_l1" | "delta_l2" | "delta_sum", Moments>>;

export interface Moments {
  mean: number;
  std: number;
}

/** A folder of models, configurations and the reference's outputs. Its README describes the layout. */
export class Kit {
  readonly folder: string;
  readonly cases: readonly Case[];
  readonly #files = new Map<string, Map<string, StoredTensor>>();

  constructor(folder: string) {
    this.folder = folder;
    this.cases = JSON.parse(readFileSync(join(folder, "cases", "index.json"), "utf8")) as Case[];
  }

  /** @param part `expected`, or `expected_partial` where the reference failed after writing tensors. */
  expected(name: string, part: "expected" | "expected_partial" = "expected"): Expected | undefined {
    const folder = join(this.folder, "cases", name, part);
    if (!existsSync(join(folder, "tensors.json"))) return undefined;
    const record = JSON.parse(readFileSync(join(folder, "tensors.json"), "utf8")) as TensorsJson;
    const tensors = Object.entries(record.tensors).map(([tensor, { dtype, shape, data }]) => {
      const stored = data === null ? undefined : this.#lookUp(data);
      return [tensor, { dtype: stored?.dtype ?? dtypeOf(dtype), shape, stored }] as const;
    });
    const configFile = join(folder, "config.json");
    const others = new Set(["tensors.json", "config.json", "model.safetensors.index.json"]);
    return {
      tensors: new Map(tensors),
      config: existsSync(configFile) ? JSON.parse(readFileSync(configFile, "utf8")) : undefined,
      sameBytesAs: new Map(Object.entries(record.same_bytes_as)),
      sideFiles: readdirSync(folder).filter((file) => !others.has(file)),
    };
  }

  statistics(name: string): ReadonlyMap<string, Statistics> | undefined {
    const file = join(this.folder, "cases", name, "stats.json");
    if (!existsSync(file)) return undefined;
    return new Map(Object.entries((JSON.parse(readFileSync(file, "utf8")) as StatsJson).tensors));
  }

  /** A tensor of an input model, as numbers. */
  input(model: string, tensor: string): Float64Array {
    return valuesOf(this.#lookUp(`models/${model}/model.safetensors::${tensor}`));
  }

  inputShape(model: string, tensor: string): readonly number[] {
    return this.#lookUp(`models/${model}/model.safetensors::${tensor}`).shape;
  }

  /** All tensor names of an input model of one file. */
  inputNames(model: string): string[] {
    return [...this.#open(`models/${model}/model.safetensors`).keys()];
  }

  read(path: string): Buffer {
    return readFileSync(join(this.folder, path));
  }

  #lookUp(place: string): StoredTensor {
    const [file, tensor] = place.split("::") as [string, string];
    const stored = this.#open(file === "pool" ? "pool.safetensors" : file).get(tensor);
    if (stored === undefined) throw new Error(`the kit has no ${place}`);
    return stored;
  }

  #open(path: string): Map<string, StoredTensor> {
    let tensors = this.#files.get(path);
    if (tensors === undefined) {
      tensors = readSafetensors(join(this.folder, path)).tensors;
      this.#files.set(path, tensors);
    }
    return tensors;
  }
}

interface TensorsJson {
  same_bytes_as: Record<string, string>;
  tensors: Record<string, { dtype: string; shape: number[]; data: string | null }>;
}

interface StatsJson {
  tensors: Record<string, Statistics>;
}

function dtypeOf(name: string): Dtype {
  const dtype = parseTorchDtype(name);
  if (dtype === undefined) throw new Error(`the kit speaks of an unknown dtype ${basename(name)}`);
  return dtype;
}

/** Values of a float tensor. @throws for an integer tensor. */
export function valuesOf({ dtype, bytes }: Pick<StoredTensor, "dtype" | "bytes">): Float64Array {
  if (!isFloat(dtype)) throw new Error(`${dtype} holds no floats`);
  return decode(bytes, dtype);
}
