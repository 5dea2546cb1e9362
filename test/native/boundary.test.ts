import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type NativeOp, native } from "../../src/native.ts";
import { decode, encode } from "../oracle/dtype.ts";
import { code, failure, withOp } from "./failures.ts";
import { inFolder, runOps, stored } from "./workbench.ts";

const addon = native();

describe("handles", () => {
  test("a closed source cannot be read", async () => {
    await withOp(async (op) => {
      addon.close(op.inputs[0]?.source as number);
      expect(await code(() => addon.merge(op))).toBe("BAD_ARGUMENT");
    });
  });

  test("a closed sink cannot be written", async () => {
    await withOp(async (op) => {
      addon.close(op.sink);
      expect(await code(() => addon.merge(op))).toBe("BAD_ARGUMENT");
      expect(await code(() => addon.writeSink(op.sink, 0, new Uint8Array(1)))).toBe("BAD_ARGUMENT");
      expect(await code(() => addon.commitSink(op.sink, false))).toBe("BAD_ARGUMENT");
    });
  });

  test("a handle closes once, and a sink commits once", async () => {
    await withOp(async (op, folder) => {
      const sink = addon.createSink(join(folder, "other"), 4);
      await addon.commitSink(sink, true);
      expect(await code(() => addon.commitSink(sink, true))).toBe("BAD_ARGUMENT");
      expect(await code(() => addon.close(sink))).toBe("BAD_ARGUMENT");
      addon.close(op.sink);
      expect(await code(() => addon.close(op.sink))).toBe("BAD_ARGUMENT");
    });
  });

  test("an op that is queued keeps what it reads and writes", async () => {
    await withOp(async (op, folder) => {
      const queued = Array.from({ length: 20 }, () => addon.merge(op));
      addon.close(op.inputs[0]?.source as number);
      addon.close(op.sink);
      await Promise.all(queued);
      expect(readFileSync(join(folder, "out"))).toHaveLength(1000);
    });
  });

  test("an op that is refused keeps nothing", async () => {
    await withOp(async (op, folder) => {
      expect(await code(() => addon.merge({ ...op, kernel: "none such" }))).toBe("BAD_ARGUMENT");
      const isMapped = () => readFileSync("/proc/self/maps", "utf8").includes(folder);
      expect(isMapped()).toBe(true);
      addon.close(op.inputs[0]?.source as number);
      expect(isMapped()).toBe(false);
    });
  });

  test("hundreds of sources at once", async () => {
    await inFolder((folder) => {
      writeFileSync(join(folder, "in"), "abc");
      const handles = Array.from({ length: 500 }, () => addon.openSource(join(folder, "in")));
      expect(new Set(handles.map(({ handle }) => handle)).size).toBe(500);
      for (const { handle, size } of handles) {
        expect(size).toBe(3);
        addon.close(handle);
      }
    });
  });
});

describe("a source", () => {
  test("must be a file that can be read", async () => {
    await inFolder(async (folder) => {
      expect(await code(() => addon.openSource(join(folder, "missing")))).toBe("SOURCE_OPEN");
      expect(await code(() => addon.openSource(folder))).toBe("SOURCE_OPEN");
      expect((await failure(() => addon.openSource(join(folder, "missing"))))?.message).toContain(
        join(folder, "missing"),
      );
      expect(await code(() => addon.openSource(7 as unknown as string))).toBe("BAD_ARGUMENT");
    });
  });

  test("may be empty", async () => {
    await inFolder((folder) => {
      writeFileSync(join(folder, "empty"), "");
      const { handle, size } = addon.openSource(join(folder, "empty"));
      expect(size).toBe(0);
      addon.close(handle);
    });
  });

  test("is read beyond 4 GiB", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "large");
      const offset = 4.5 * 2 ** 30 + 1;
      const bytes = encode([1.5, -2, 1024], "F32");
      writeSync(openSync(path, "w"), bytes, 0, bytes.length, offset);
      const { handle, size } = addon.openSource(path);
      expect(size).toBe(offset + 12);
      const sink = addon.createSink(join(folder, "out"), 12);
      const inputs = [{ source: handle, offset, dtype: "F32" as const, stream: 0 }];
      const place = { sink, offset: 0, dtype: "F32" as const, tensor: "w", seed: 0, crc32: false };
      await addon.merge({ kernel: "linear", params: [2], inputs, count: 3, rows: 1, columns: 3, ...place });
      await addon.commitSink(sink, false);
      addon.close(handle);
      expect(Array.from(decode(readFileSync(join(folder, "out")), "F32"))).toEqual([3, -4, 2048]);
    });
  });

  const kernels: [string, number[], number][] = [
    ["copy", [], 1],
    ["linear", [0.5, 0.5], 2],
    ["slerp", [0.5], 2],
    ["ties", [1, 1, 0, 1, 1000], 2],
    ["dare_ties", [1, 1, 1, 1, 0.5], 2],
  ];
  test.each(kernels)("that shrinks under %s fails the op and nothing else", async (kernel, params, inputs) => {
    await inFolder(async (folder) => {
      const count = 300_000;
      for (const name of ["good", "bad"]) writeFileSync(join(folder, name), new Uint8Array(4 * count).fill(1));
      const good = addon.openSource(join(folder, "good")).handle;
      const bad = addon.openSource(join(folder, "bad")).handle;
      truncateSync(join(folder, "bad"), 500_000);
      const sink = addon.createSink(join(folder, "out"), 4 * count);
      const last = inputs - 1;
      const op = (source: number): NativeOp => ({
        kernel,
        params,
        inputs: Array.from({ length: inputs }, (_, k) => ({
          source: k === last ? source : good,
          offset: 0,
          dtype: "F32",
          stream: k,
        })),
        count,
        rows: 1,
        columns: count,
        seed: 0,
        tensor: "w",
        sink,
        offset: 0,
        dtype: "F32",
        crc32: false,
      });
      const [failed, well] = await Promise.all([
        failure(() => addon.merge(op(bad))),
        failure(() => addon.merge(op(good))),
      ]);
      expect(failed).toMatchObject({ code: "SOURCE_FAILED", source: last });
      if (kernel !== "copy") expect(failed?.message).toContain(join(folder, "bad"));
      expect(well).toBeUndefined();
      for (const handle of [good, bad, sink]) addon.close(handle);
    });
  });
});

describe("a sink", () => {
  test("does not replace a file", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "mine");
      writeFileSync(path, "keep me");
      expect(await code(() => addon.createSink(path, 3))).toBe("SINK_EXISTS");
      expect(readFileSync(path, "utf8")).toBe("keep me");
    });
  });

  test("needs its folder", async () => {
    await inFolder(async (folder) => {
      expect(await failure(() => addon.createSink(join(folder, "no", "such"), 3))).toMatchObject({ code: "SINK_OPEN" });
    });
  });

  test("that no disk holds leaves no file", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "large");
      // Too large for the disk or for any file: which of the two is said depends on the file system.
      expect(await code(() => addon.createSink(path, 2 ** 52))).toBeOneOf(["NO_SPACE", "SINK_WRITE"]);
      expect(existsSync(path)).toBe(false);
    });
  });

  test("has its whole size from the start, and bytes where they were written", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "out");
      const sink = addon.createSink(path, 10);
      expect(readFileSync(path)).toHaveLength(10);
      addon.writeSink(sink, 7, Uint8Array.of(1, 2, 3));
      addon.writeSink(sink, 0, Uint8Array.of(9));
      addon.writeSink(sink, 10, new Uint8Array(0));
      await addon.commitSink(sink, true);
      expect([...readFileSync(path)]).toEqual([9, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    });
  });

  test("takes only bytes, only inside it", async () => {
    await withOp(async ({ sink }) => {
      const bytes = new Uint8Array(3);
      for (const offset of [998, 1001, -1, 0.5, Number.NaN, 2 ** 53]) {
        expect([offset, await code(() => addon.writeSink(sink, offset, bytes))]).toEqual([offset, "BAD_ARGUMENT"]);
      }
      for (const wrong of ["abc", undefined, [1, 2], new ArrayBuffer(2)]) {
        expect(await code(() => addon.writeSink(sink, 0, wrong as unknown as Uint8Array))).toBe("BAD_ARGUMENT");
      }
    });
  });

  test("must have a size that is a whole number", async () => {
    await inFolder(async (folder) => {
      for (const size of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        expect(await code(() => addon.createSink(join(folder, "out"), size))).toBe("BAD_ARGUMENT");
      }
      expect(existsSync(join(folder, "out"))).toBe(false);
    });
  });
});

/** Ops that take a while together. */
function longOps(folder: string, many: number) {
  const count = 2 ** 21;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "in"), new Uint8Array(4 * count));
  const source = addon.openSource(join(folder, "in")).handle;
  const sink = addon.createSink(join(folder, "out"), 4 * count);
  const input = { source, offset: 0, dtype: "F32" as const, stream: 0 };
  const op: NativeOp = {
    kernel: "dare_ties",
    params: [1, 1, 1, 1, 0.5],
    inputs: [input, input],
    count,
    rows: 1,
    columns: count,
    seed: 0,
    tensor: "w",
    sink,
    offset: 0,
    dtype: "F32",
    crc32: false,
  };
  const outcomes = Array.from({ length: many }, () => code(() => addon.merge(op)));
  const bytes = 3 * count * 4;
  return { outcomes, bytes, done: () => [source, sink].forEach(addon.close) };
}

test("cancel ends everything that is queued, and later ops run", async () => {
  await inFolder(async (folder) => {
    const { outcomes, done } = longOps(folder, 200);
    addon.cancel();
    const codes = await Promise.all(outcomes);
    // They end in their order, but for those that threads have at hand when it comes.
    const first = codes.indexOf("CANCELLED");
    const atHand = 2 * addon.info().threads;
    expect(first).toBeGreaterThanOrEqual(0);
    expect(codes.slice(first + atHand)).toEqual(codes.slice(first + atHand).map(() => "CANCELLED"));
    expect(codes.filter((found) => found !== "CANCELLED" && found !== undefined)).toEqual([]);
    done();
  });
  addon.cancel();
  const [outcome] = await runOps([
    { kernel: "linear", params: [2], inputs: [stored([21], "F32")], dtype: "F32", count: 1 },
  ]);
  expect(Array.from(decode((outcome as { bytes: Uint8Array }).bytes, "F32"))).toEqual([42]);
});

test("how far ops have come is never more than they read and write, and nothing when all have ended", async () => {
  await inFolder(async (folder) => {
    const { outcomes, bytes, done } = longOps(folder, 30);
    let most = 0;
    let ended = false;
    const all = Promise.all(outcomes).then((codes) => {
      ended = true;
      return codes;
    });
    let settled = 0;
    for (const outcome of outcomes) void outcome.then(() => settled++);
    while (!ended) {
      // Ops that have ended are not under way any more.
      const before = settled;
      const underway = addon.underway();
      expect(underway).toBeGreaterThanOrEqual(0);
      expect(underway).toBeLessThanOrEqual((30 - before) * bytes);
      most = Math.max(most, underway);
      await Bun.sleep(0);
    }
    expect((await all).filter((found) => found !== undefined)).toEqual([]);
    expect(most).toBeGreaterThan(0);
    expect(addon.underway()).toBe(0);
    done();
  });
});

test("configure refuses what it cannot do, and while ops are running", async () => {
  await inFolder(async (folder) => {
    const before = addon.info();
    for (const wrong of [
      { threads: -1 },
      { threads: 1.5 },
      { threads: 5000 },
      { threads: "2" },
      { target: "x87" },
      { target: 3 },
    ]) {
      expect([wrong, await code(() => addon.configure(wrong as object))]).toEqual([wrong, "BAD_ARGUMENT"]);
    }
    const { outcomes, done } = longOps(folder, 20);
    expect(await code(() => addon.configure({ threads: 1 }))).toBe("BAD_ARGUMENT");
    await Promise.all(outcomes);
    done();
    expect(addon.info()).toEqual(before);
  });
});

test("info names what there is", () => {
  const { target, targets, threads, cpus, kernels, version } = addon.info();
  expect(targets).toContain(target);
  expect(threads).toBeGreaterThan(0);
  expect(cpus).toBeGreaterThan(0);
  expect(version).toMatch(/^\d+\.\d+\.\d+/);
  expect(new Set(kernels).size).toBe(kernels.length);
  expect(kernels).toContain("copy");
});
