import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Model, TensorView } from "../../src/model/types.ts";
import { storedModel } from "./stored-model.ts";

/** What a real model class wrote: config.json, the shapes of the tensors on disk, and what is tied to which of them. */
export interface Recorded {
  name: string;
  family: string;
  config: Record<string, unknown>;
  tied: Record<string, string>;
  /** Undefined for a family that has no class to record from: its names alone are known. */
  shapes: ReadonlyMap<string, readonly number[] | undefined>;
  /** Tensors that not every checkpoint has. */
  optional: readonly string[];
}

interface StoredRecord {
  config: Recorded["config"];
  tied: Recorded["tied"];
  may_be_absent?: string[];
  /** `a.[0-2,5].b` stands for four names; several lists for each combination of their numbers. */
  tensors: [string, number[] | null][];
}

const folder = join(import.meta.dir, "recorded");

/** Every recording, in files by family. */
export const recordings: readonly Recorded[] = readdirSync(folder).flatMap((file) => {
  const content = JSON.parse(readFileSync(join(folder, file), "utf8")) as Record<string, StoredRecord>;
  return Object.entries(content).map(([name, { config, tied, tensors, may_be_absent: optional = [] }]) => ({
    name,
    family: file.replace(/\.json$/, ""),
    config,
    tied,
    optional,
    shapes: new Map(tensors.flatMap(([pattern, shape]) => unfold(pattern).map((one) => [one, shape ?? undefined]))),
  }));
});

export function recorded(name: string): Recorded {
  const found = recordings.find((one) => one.name === name);
  if (found === undefined) throw new Error(`nothing is recorded as ${name}`);
  return found;
}

/** A model that stores just what was recorded, one tensor behind the other. */
export function recordedModel({ config, shapes }: Pick<Recorded, "config" | "shapes">): Model {
  let offset = 0;
  const tensors = new Map<string, TensorView>();
  for (const [name, shape = [1]] of shapes) {
    tensors.set(name, { file: "model.safetensors", offset, dtype: "F32", shape });
    offset += 4 * shape.reduce((a, b) => a * b, 1);
  }
  return { ...storedModel(config, []), tensors };
}

function unfold(pattern: string): string[] {
  const list = /\[([\d,-]+)\]/.exec(pattern);
  if (list === null) return [pattern];
  const start = pattern.slice(0, list.index);
  const ends = unfold(pattern.slice(list.index + list[0].length));
  return numbers(list[1] as string).flatMap((number) => ends.map((end) => start + number + end));
}

function numbers(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}
