/**
 * `bun run bench:kernels`: each method's kernel on one tensor in memory, in GB/s read plus written, beside a memcpy that
 * moves as many bytes. A kernel's time is that of the addon's `merge` call: mapped inputs and the output file lie in a
 * memory file system, so it holds the conversion, the maths, the checksum and one copy into the file, and no disk.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { measure } from "mitata";
import { BLOCK, fillNormal, fillTuned, streamKey } from "../scripts/family/noise.ts";
import { methods } from "../src/methods/index.ts";
import type { Lowered, MergeMethod } from "../src/methods/types.ts";
import { type Addon, type NativeOp, native } from "../src/native.ts";
import { benchValues } from "./cases.ts";

/** 16.8 million elements: beyond every cache. */
const ROWS = 4096;
const COUNT = ROWS * 4096;
const BYTES = 2 * COUNT;

/** Where Linux keeps files in memory. */
const MEMORY = "/dev/shm";

const dir = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "sinter-kernels-"));
try {
  const addon = native();
  const sources = makeInputs().map((path) => addon.openSource(path).handle);
  const sink = addon.createSink(join(dir, "out"), BYTES);
  const copied = await memcpySpeed();
  console.log(`memcpy, one thread: ${copied.toFixed(1)} GB/s\n`);
  console.log("method             kernel           threads    ms     GB/s   of memcpy");
  for (const method of methods) {
    const lowered = lower(method);
    for (const threads of new Set([1, availableParallelism()])) {
      addon.configure({ threads });
      const ms = await kernelTime(addon, lowered, sources, sink);
      const speed = ((lowered.inputs.length + 1) * BYTES) / ms / 1e6;
      console.log(
        method.name.padEnd(19) +
          lowered.kernel.padEnd(17) +
          String(threads).padStart(7) +
          ms.toFixed(1).padStart(6) +
          speed.toFixed(1).padStart(9) +
          `${((100 * speed) / copied).toFixed(0)} %`.padStart(11),
      );
    }
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}

/** A base and two fine-tunes of it, one tensor each, in bfloat16. @returns their files. */
function makeInputs(): string[] {
  const base = new Uint16Array(COUNT);
  const tuned = new Uint16Array(COUNT);
  const fill = (out: Uint16Array, block: (part: Uint16Array, start: number) => void) => {
    for (let start = 0; start < COUNT; start += BLOCK) block(out.subarray(start, start + BLOCK), start);
  };
  fill(base, (part, start) => fillNormal(part, streamKey("base"), start, 0, 0.02));
  const files = [0, 1, 2].map((i) => join(dir, `in${i}`)) as [string, string, string];
  writeFileSync(files[0], base);
  for (const [i, file] of files.slice(1).entries()) {
    fill(tuned, (part, start) => fillTuned(part, base.subarray(start), streamKey(`tune ${i}`), start, 3e-4));
    writeFileSync(file, tuned);
  }
  return files;
}

/** What a method asks of native code for a base and up to two models. */
function lower(method: MergeMethod): Lowered {
  const withBase = method.base === "required";
  const count = Math.max(method.models.min, Math.min(2, method.models.max)) + Number(withBase);
  const inputs = Array.from({ length: count }, (_, position) => ({
    position,
    isBase: withBase && position === 0,
    model: String(position),
    parameters: benchValues(method, "model"),
  }));
  const lowered = method.lower({
    inputs,
    parameters: benchValues(method, "global"),
    count: COUNT,
    rows: ROWS,
    columns: COUNT / ROWS,
  });
  if ("code" in lowered) throw new Error(`${method.name}: ${lowered.message}`);
  return lowered;
}

/** Median milliseconds of one op. */
async function kernelTime(addon: Addon, lowered: Lowered, sources: readonly number[], sink: number): Promise<number> {
  const op: NativeOp = {
    kernel: lowered.kernel,
    inputs: lowered.inputs.map((i) => ({ source: sources[i] as number, offset: 0, dtype: "BF16", stream: i })),
    count: COUNT,
    rows: ROWS,
    columns: COUNT / ROWS,
    params: [...lowered.params],
    seed: 0,
    tensor: "weight",
    sink,
    offset: 0,
    dtype: "BF16",
    crc32: false,
  };
  const stats = await measure(async () => await addon.merge(op));
  return stats.p50 / 1e6;
}

/** GB/s read plus written by copying one array to another. */
async function memcpySpeed(): Promise<number> {
  const from = new Uint8Array(BYTES).fill(1);
  const to = new Uint8Array(BYTES);
  const stats = await measure(() => to.set(from));
  return (2 * BYTES) / stats.p50;
}
