/**
 * `bun run bench:extract [--python PATH] [--each N] [--rank N]`: truncated decompositions of differences of Qwen2-0.5B's
 * shapes, N matrices of each distinct one, in alternation with `torch.linalg.svd` of the same matrices in the same run,
 * which is what mergekit calls for each. Both have all threads. Times are scaled to the model's linear layers.
 *
 * A python with torch is looked for as `python3`; without one, Sinter's times are printed alone. The differences are
 * random: no direction stands out, so that the iterations converge as slowly as they can.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { BLOCK, fillNormal, streamKey } from "../scripts/family/noise.ts";
import { familyTensors, QWEN2_05B } from "../scripts/family/shape.ts";
import { native } from "../src/native.ts";
import { median } from "./process.ts";

/** Standard deviation of the differences. */
const NOISE = 3e-4;

const { values: options } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    each: { type: "string", default: "2" },
    rank: { type: "string", default: "32" },
  },
});
const [each, rank] = [Number(options.each), Number(options.rank)];

/** A distinct shape of the linear layers, and how many of them the model has. */
interface Shape {
  rows: number;
  columns: number;
  count: number;
}

interface Measured {
  seconds: number;
  /** Norm of what the best, or our, approximation of the rank leaves. */
  residual: number;
}

function linearShapes(): Shape[] {
  const shapes = new Map<string, Shape>();
  for (const { name, shape } of familyTensors(QWEN2_05B)) {
    if (!name.endsWith("_proj.weight")) continue;
    const [rows = 0, columns = 0] = shape;
    const known = shapes.get(String(shape));
    shapes.set(String(shape), { rows, columns, count: (known?.count ?? 0) + 1 });
  }
  return [...shapes.values()].toSorted((a, b) => a.rows * a.columns - b.rows * b.columns);
}

/** Float32 numbers, each a bfloat16 one: as differences of stored weights are. */
function writeMatrix(path: string, { rows, columns }: Shape): void {
  const halves = new Uint16Array(rows * columns);
  for (let start = 0; start < halves.length; start += BLOCK) {
    fillNormal(halves.subarray(start, start + BLOCK), streamKey(basename(path)), start, 0, NOISE);
  }
  writeFileSync(path, new Uint8Array(Uint32Array.from(halves, (half) => half << 16).buffer));
}

async function ours(path: string, { rows, columns }: Shape): Promise<Measured> {
  const addon = native();
  const source = addon.openSource(path).handle;
  const bOffset = 4 * rank * columns;
  const sink = addon.createSink(`${path}.factors`, bOffset + 4 * rank * rows);
  // As of torch, the call alone: an extraction opens its files once for all modules.
  const begun = performance.now();
  const found = await addon.decompose({
    source,
    offset: 0,
    rows,
    columns,
    transposed: false,
    rank,
    epsilon: 0,
    share: 1,
    distribute: true,
    seed: 0,
    threads: addon.info().threads,
    sink,
    aOffset: 0,
    bOffset,
    dtype: "F32",
  });
  const seconds = (performance.now() - begun) / 1000;
  await addon.commitSink(sink, false);
  addon.close(source);
  rmSync(`${path}.factors`);
  return { seconds, residual: Math.sqrt(Math.max(0, found.energy - found.kept)) };
}

/** Reads a path, rows and columns from each line, and answers with seconds and the norm of what the rank leaves. */
const SERVER = `
import sys, time, torch
print(torch.__version__, torch.get_num_threads(), flush=True)
for line in sys.stdin:
    path, rows, columns, rank = line.split()
    matrix = torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.float32).reshape(int(rows), int(columns))
    begun = time.perf_counter()
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    seconds = time.perf_counter() - begun
    print(seconds, float(s[int(rank):].double().square().sum().sqrt()), flush=True)
`;

/** One process of torch, for all matrices; undefined where there is none. */
class Torch {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "ignore">;
  readonly #lines: AsyncIterator<string>;
  version = "";

  private constructor(python: string) {
    this.#child = Bun.spawn([python, "-c", SERVER], { stdin: "pipe", stdout: "pipe", stderr: "ignore" });
    this.#lines = linesOf(this.#child.stdout);
  }

  static async start(python: string): Promise<Torch | undefined> {
    if (Bun.which(python) === null) return undefined;
    const torch = new Torch(python);
    const { value, done } = await torch.#lines.next();
    if (done === true) return undefined;
    const [version, threads] = value.split(" ");
    torch.version = `torch ${version} on ${threads} threads`;
    return torch;
  }

  async svd(path: string, { rows, columns }: Shape): Promise<Measured> {
    this.#child.stdin.write(`${path} ${rows} ${columns} ${rank}\n`);
    await this.#child.stdin.flush();
    const { value = "" } = await this.#lines.next();
    const [seconds = Number.NaN, residual = Number.NaN] = value.split(" ").map(Number);
    return { seconds, residual };
  }

  async end(): Promise<void> {
    await this.#child.stdin.end();
    await this.#child.exited;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

const dir = mkdtempSync(join(tmpdir(), "sinter-extract-"));
const torch = await Torch.start(options.python);
try {
  const { threads, target } = native().info();
  console.log(
    `Sinter on ${threads} threads (${target}); ${torch?.version ?? `no torch in ${options.python}`}; rank ${rank}`,
  );
  let [total, torchTotal] = [0, 0];
  for (const shape of linearShapes()) {
    const [mine, theirs]: [Measured[], Measured[]] = [[], []];
    for (let i = 0; i < each; i++) {
      const path = join(dir, `${shape.rows}-${shape.columns}-${i}`);
      writeMatrix(path, shape);
      // Whoever is first differs from matrix to matrix.
      if (i % 2 === 0) mine.push(await ours(path, shape));
      if (torch !== undefined) theirs.push(await torch.svd(path, shape));
      if (i % 2 !== 0) mine.push(await ours(path, shape));
      rmSync(path);
    }
    const seconds = median(mine.map((one) => one.seconds));
    total += shape.count * seconds;
    let line = `${shape.count} of ${shape.rows} x ${shape.columns}: ${seconds.toFixed(3)} s each`;
    if (torch !== undefined) {
      const other = median(theirs.map((one) => one.seconds));
      const above = Math.max(...mine.map((one, i) => one.residual / (theirs[i]?.residual ?? 0) - 1));
      torchTotal += shape.count * other;
      line += `, torch ${other.toFixed(3)} s: ${(other / seconds).toFixed(1)} x; residual ${(100 * above).toFixed(2)} % above the best`;
    }
    console.log(line);
  }
  const ratio = torch === undefined ? "" : `, torch ${torchTotal.toFixed(0)} s: ${(torchTotal / total).toFixed(1)} x`;
  console.log(`all linear layers, scaled: ${total.toFixed(1)} s${ratio}`);
} finally {
  await torch?.end();
  rmSync(dir, { recursive: true, force: true });
}
