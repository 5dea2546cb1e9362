/**
 * `bun run bench:forward [MODEL]`: float32 matrix products beside what multiply-adds in registers reach on the same
 * threads, and the hidden states of 8 prompts of 32 tokens through a model. Without MODEL, the base of `bun run bench`,
 * of Qwen2-0.5B's shape, where that has been run.
 */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { openNamedModel, understandModel } from "../src/commands/open-model.ts";
import { Report } from "../src/errors.ts";
import { type Decoder, readDecoder } from "../src/forward/decoder.ts";
import { hiddenStates } from "../src/forward/hidden-states.ts";
import { type Addon, type NativeMatrix, native } from "../src/native.ts";

/** Rows of activations, outputs, inputs; and what the right operand is stored in. */
const PRODUCTS = [
  { what: "square", m: 2048, n: 2048, k: 2048, dtype: "F32" },
  { what: "square, B transposed", m: 2048, n: 2048, k: 2048, dtype: "F32", transposed: true },
  { what: "Qwen2-0.5B query, 256 tokens", m: 256, n: 896, k: 896, dtype: "BF16", transposed: true },
  { what: "Qwen2-0.5B up, 256 tokens", m: 256, n: 4864, k: 896, dtype: "BF16", transposed: true },
  { what: "Qwen2-0.5B down, 256 tokens", m: 256, n: 896, k: 4864, dtype: "BF16", transposed: true },
] as const;

const REPETITIONS = 7;

const addon = native();
for (const threads of new Set([1, availableParallelism()])) productTable(addon, threads);
const model = process.argv[2] ?? join(import.meta.dir, "..", ".bench", "models", "base");
if (existsSync(model)) await forwardTable(model);
else console.log(`hidden states: skipped, ${model} is not there (bun run bench makes it)`);

function productTable(addon: Addon, threads: number): void {
  addon.configure({ threads });
  const peak = addon.peakRate();
  console.log(`${threads} thread${threads === 1 ? "" : "s"}, ${addon.info().target}: peak ${gigaflops(peak)}`);
  for (const product of PRODUCTS) {
    const { m, n, k, dtype } = product;
    const transposed = "transposed" in product;
    const a: NativeMatrix = { bytes: filled(m * k), dtype: "F32", rows: m, columns: k, stride: k, transposed: false };
    const [rows, columns] = transposed ? [n, k] : [k, n];
    const bytes = dtype === "BF16" ? new Uint16Array(n * k).fill(0x3c00) : filled(n * k);
    const b: NativeMatrix = { bytes, dtype, rows, columns, stride: columns, transposed };
    const c = new Float32Array(m * n);
    const rate = (2 * m * n * k) / best(() => addon.multiply({ a, b, c, alpha: 1, beta: 0 }));
    const share = `${((100 * rate) / peak).toFixed(0)} % of peak`;
    console.log(
      `  ${product.what.padEnd(30)}${`${m} x ${n} x ${k}`.padEnd(22)}${gigaflops(rate).padStart(14)}  ${share}`,
    );
  }
}

async function forwardTable(folder: string): Promise<void> {
  addon.configure({});
  const report = new Report();
  const decoder = readDecoder(understandModel(openNamedModel(folder, undefined), undefined), report);
  report.throwIfErrors();
  const prompts = Array.from({ length: 8 }, (_, prompt) =>
    Int32Array.from({ length: 32 }, (_, i) => (7919 * i + 104729 * prompt) % (decoder as Decoder).weights.vocabulary),
  );
  const seconds: number[] = [];
  for (let i = 0; i < 3; i++) {
    const begin = performance.now();
    await hiddenStates(decoder as Decoder, prompts, "last");
    seconds.push((performance.now() - begin) / 1000);
  }
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  console.log(
    `hidden states, 8 prompts of 32 tokens, ${folder}: ${Math.min(...seconds).toFixed(2)} s (target 20 s), ` +
      `most memory ${(Number(peak) / 1024).toFixed(0)} MiB, mapped files included (target 1430 MiB)`,
  );
}

function filled(count: number): Float32Array {
  return new Float32Array(count).fill(0.01);
}

/** Least seconds of several runs. */
function best(run: () => void): number {
  const seconds = Array.from({ length: REPETITIONS }, () => {
    const begin = performance.now();
    run();
    return (performance.now() - begin) / 1000;
  });
  return Math.min(...seconds);
}

function gigaflops(rate: number): string {
  return `${(rate / 1e9).toFixed(0)} Gflop/s`;
}
