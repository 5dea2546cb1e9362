import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Rows } from "../oracle/linear.ts";
import type { OracleResult } from "../oracle/methods.ts";
import {
  combine,
  neighbours,
  pursue,
  pursueTurned,
  type RotaryHeads,
  rotate,
  sampleLike,
  throughBasis,
} from "../oracle/transplant.ts";
import type { Kit } from "./kit.ts";

/** Weights with a row per token, of the kit's models. */
const MATRICES = ["model.embed_tokens.weight", "lm_head.weight"];

interface Command {
  original: string;
  donor: string;
  method: string;
  k: number;
  cosine: boolean;
  scheme: string;
  seed: number;
}

/** What a float64 computation of a transplant gives for one tensor; undefined for any other command or tensor. */
export function transplantTruth(kit: Kit, command: string, tensor: string): OracleResult | undefined {
  const read = readCommand(command);
  if (read === undefined || !MATRICES.includes(tensor)) return undefined;
  const [own, theirs] = [vocabularyOf(kit, read.original), vocabularyOf(kit, read.donor)];
  const [original, donor] = [rowsOf(kit, read.original, tensor), rowsOf(kit, read.donor, tensor)];
  const byId = [...theirs].sort(([, a], [, b]) => a - b);
  const shared = byId.filter(([token]) => own.has(token));
  const missing = byId.filter(([token]) => !own.has(token));
  const landmarks = {
    donor: shared.map(([, id]) => donor[id] as Float64Array),
    original: shared.map(([token]) => original[own.get(token) as number] as Float64Array),
    targets: missing.map(([, id]) => donor[id] as Float64Array),
  };
  const ids = missing.map(([, id]) => id);
  const rotary = { donor: rotaryOf(kit, read.donor), original: rotaryOf(kit, read.original) };
  const made =
    approximate(read, landmarks, { original, donor }, { ids, tensor, rotary }) ?? pieceMeans(missing, own, original);
  const width = original[0]?.length as number;
  const values = new Float64Array(((byId.at(-1)?.[1] ?? -1) + 1) * width);
  for (const [token, id] of shared) values.set(original[own.get(token) as number] as Float64Array, id * width);
  ids.forEach((id, i) => {
    values.set(made[i] as Float64Array, id * width);
  });
  return { values, terms: values.map(Math.abs), alternatives: new Map(), contested: new Set() };
}

function approximate(
  { method, k, cosine, scheme, seed }: Command,
  landmarks: { donor: Rows; original: Rows; targets: Rows },
  all: { original: Rows; donor: Rows },
  { ids, tensor, rotary }: { ids: number[]; tensor: string; rotary: { donor: RotaryHeads; original: RotaryHeads } },
): Float64Array[] | undefined {
  const { donor, original, targets } = landmarks;
  switch (method) {
    case "omp":
      return targets.map((target) => combine(pursue(target, donor, k), original));
    case "common_interpolation":
      return targets.map((target) => combine(neighbours(target, donor, k, { cosine, scheme }), original));
    case "landmark_pca":
      return rotate(landmarks);
    case "stb":
      return throughBasis(landmarks, k, all);
    case "mp_rope":
      return targets.map((target) => pursueTurned(target, donor, original, k, rotary));
    case "john_hewitt":
      return sampleLike(all.original, ids, seed, tensor);
    case "zero":
      return targets.map(() => new Float64Array(original[0]?.length ?? 0));
    default:
      return undefined;
  }
}

/** The mean of a token's pieces. The kit's byte-level tokenizer with its merges, applied in their order. */
function pieceMeans(
  missing: readonly [string, number][],
  own: ReadonlyMap<string, number>,
  original: Rows,
): Float64Array[] {
  return missing.map(([token]) => {
    const pieces = greedyMerges(token, own).map((piece) => own.get(piece) as number);
    return combine({ points: pieces, weights: new Float64Array(pieces.length).fill(1 / pieces.length) }, original);
  });
}

/** The kit's vocabularies are in the order of their merges: the pair whose union has the lowest id is joined first. */
function greedyMerges(token: string, own: ReadonlyMap<string, number>): string[] {
  const words = token.match(/Ġ?[A-Za-z]+|Ġ?[0-9]+|Ġ?[^A-Za-z0-9Ġ]+|Ġ+/g) ?? [];
  return words.flatMap((word) => {
    const parts = [...word];
    for (;;) {
      const joined = parts
        .slice(0, -1)
        .map((part, i) => own.get(part + (parts[i + 1] as string)) ?? Number.POSITIVE_INFINITY);
      const best = Math.min(...joined);
      if (!Number.isFinite(best)) return parts;
      const at = joined.indexOf(best);
      parts.splice(at, 2, (parts[at] as string) + (parts[at + 1] as string));
    }
  });
}

function readCommand(command: string): Command | undefined {
  const [program, original = "", donor = "", , ...rest] = command.split(" ");
  if (program !== "mergekit-tokensurgeon") return undefined;
  const option = (name: string) => {
    const at = rest.indexOf(`--${name}`);
    return at < 0 ? undefined : rest[at + 1];
  };
  return {
    original: original.replace("./models/", ""),
    donor: donor.replace("./models/", ""),
    method: option("approximation-method") ?? "omp",
    k: Number(option("k") ?? 64),
    cosine: rest.includes("--cosine-similarity"),
    scheme: option("weight-scheme") ?? "distance_proportional",
    seed: Number(option("random-seed") ?? 0),
  };
}

/** The kit's tokenizers are of one kind: equal text is the same token. */
function vocabularyOf(kit: Kit, model: string): Map<string, number> {
  const json = JSON.parse(readFileSync(join(kit.folder, "models", model, "tokenizer.json"), "utf8"));
  const added = json.added_tokens.map(({ content, id }: { content: string; id: number }) => [content, id]);
  return new Map([...Object.entries(json.model.vocab as Record<string, number>), ...added]);
}

function rowsOf(kit: Kit, model: string, tensor: string): Float64Array[] {
  const values = kit.input(model, tensor);
  const [rows = 0, width = 0] = kit.inputShape(model, tensor);
  return Array.from({ length: rows }, (_, row) => values.slice(row * width, (row + 1) * width));
}

function rotaryOf(kit: Kit, model: string): RotaryHeads {
  const config = JSON.parse(readFileSync(join(kit.folder, "models", model, "config.json"), "utf8"));
  return { heads: config.num_attention_heads, base: config.rope_parameters.rope_theta };
}
