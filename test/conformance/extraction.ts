import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredTensor } from "../support/safetensors.ts";
import type { Finding } from "./check-case.ts";
import type { Execution } from "./execute.ts";
import { type Case, type Kit, valuesOf } from "./kit.ts";
import { readOutput } from "./output.ts";

/** How much farther from the fine-tune than the reference's factors ours may be, relatively: both round to bfloat16. */
const SLACK = 1e-3;

/** Where the reference crashes: what its options ask for. */
const ASKED: Readonly<Record<string, { saved: RegExp; factors: RegExp }>> = {
  "x-extract-lora-modules": {
    saved: /(embed_tokens|lm_head|norm)\.weight$/,
    factors: /self_attn\..*\.lora_[AB]\.weight$/,
  },
};

interface Recorded {
  modules: Record<string, { rank: number; rel_err: number; svd_optimum: number }>;
}

/** Holds an extracted adapter against the kit: names, shapes, tensors saved whole, and how near its products come. */
export function checkExtraction(kit: Kit, { name, command }: Case, execution: Execution): Finding {
  const faults: string[] = [];
  if (execution.exitCode !== 0)
    return finding([`exit code ${execution.exitCode}: ${execution.text.trim().split("\n").at(-1)}`]);
  const { tensors } = readOutput(execution.out);
  const asked = ASKED[name];
  const expected = kit.expected(name);
  if (asked !== undefined) {
    const other = [...tensors.keys()].filter((tensor) => !asked.saved.test(tensor) && !asked.factors.test(tensor));
    if (other.length > 0) faults.push(`holds ${other.slice(0, 3).join(", ")}`);
  } else if (expected !== undefined) {
    if (!Bun.deepEquals([...tensors.keys()].toSorted(), [...expected.tensors.keys()].toSorted())) {
      faults.push("other tensors than the reference's");
    }
    for (const [tensor, { dtype, shape, stored }] of expected.tensors) {
      const ours = tensors.get(tensor);
      if (ours === undefined) continue;
      if (ours.dtype !== dtype || !Bun.deepEquals(ours.shape, shape))
        faults.push(`${tensor}: ${ours.dtype} ${ours.shape}`);
      const isFactor = /lora_(embedding_)?[AB](\.weight)?$/.test(tensor);
      if (!isFactor && stored && Buffer.compare(ours.bytes, stored.bytes) !== 0)
        faults.push(`${tensor}: not the same bytes`);
    }
    faults.push(...configFaults(kit, name, execution.out));
  }
  const models = ["model", "base-model"].map(
    (option) => new RegExp(`--${option} \\./models/(\\S+)`).exec(command)?.[1] ?? "",
  );
  faults.push(...productFaults(kit, name, tensors, models as [string, string]));
  return finding(faults);
}

function finding(faults: string[]): Finding {
  return { faults, comparisons: [] };
}

function productFaults(
  kit: Kit,
  name: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  [tuned, base]: [string, string],
): string[] {
  const file = join(kit.folder, "cases", name, "recon.json");
  const recorded = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Recorded).modules : {};
  const faults: string[] = [];
  for (const [key, a] of tensors) {
    const match = /^base_model\.model\.(.+)\.lora_(embedding_)?A(\.weight)?$/.exec(key);
    if (match === null) continue;
    const path = match[1] as string;
    const b = tensors.get(key.replace("_A", "_B")) as StoredTensor;
    const error = relativeError(kit, [tuned, base], `${path}.weight`, a, b, match[2] !== undefined);
    const known = recorded[path]?.rel_err;
    const bound = known === undefined ? 0.999 : known * (1 + SLACK);
    if (!(error <= bound)) faults.push(`${path}: relative error ${error.toPrecision(6)}, the reference's is ${known}`);
  }
  return faults;
}

/** Norm of (tuned - base - B A), or of A^T B^T, over the norm of (tuned - base). */
function relativeError(
  kit: Kit,
  [tuned, base]: [string, string],
  weight: string,
  a: StoredTensor,
  b: StoredTensor,
  transposed: boolean,
): number {
  const [x, y] = [kit.input(tuned, weight), kit.input(base, weight)];
  const [rank = 1, columns = 1] = a.shape;
  const rows = b.shape[0] ?? 1;
  const [left, right] = [valuesOf(b), valuesOf(a)];
  let lost = 0;
  let all = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let product = 0;
      for (let k = 0; k < rank; k++) product += (left[i * rank + k] as number) * (right[k * columns + j] as number);
      const at = transposed ? j * rows + i : i * columns + j;
      const difference = (x[at] as number) - (y[at] as number);
      lost += (difference - product) ** 2;
      all += difference ** 2;
    }
  }
  return all === 0 ? Math.sqrt(lost) : Math.sqrt(lost / all);
}

/** The keys that decide what the adapter does; lists in any order. */
function configFaults(kit: Kit, name: string, out: string): string[] {
  const ours = JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"));
  const theirs = JSON.parse(kit.read(`cases/${name}/expected/adapter_config.json`).toString());
  const sorted = (value: unknown) => (Array.isArray(value) ? value.toSorted() : value);
  return Object.keys(theirs)
    .filter((key) => !Bun.deepEquals(sorted(ours[key]), sorted(theirs[key])))
    .map(
      (key) => `adapter_config.json: ${key} is ${JSON.stringify(ours[key])}, should be ${JSON.stringify(theirs[key])}`,
    );
}
