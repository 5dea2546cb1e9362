import { dlopen, FFIType, ptr } from "bun:ffi";
import { describe, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  fsyncSync,
  openSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type DirectUse, native } from "../../src/native.ts";
import { della, difference, linear, makeOp, nuslerp, onDevice, stayed, ties } from "./device-ops.ts";
import { directReads, HOST_LIBRARY, onDevices, type Use } from "./host-device.ts";
import { inFolder, runOps } from "./workbench.ts";

/*
 * Files read straight into a device's memory, by functions of cuFile that read to host memory: what is tested is which bytes
 * go that way, where they land, when, and what happens when that fails.
 */

const ops = [
  makeOp(ties, 3, [700, 1031], 3),
  makeOp(della, 3, [700, 517], 2),
  makeOp(nuslerp, 2, [700, 1031], 1),
  makeOp(linear, 2, [1, 1_100_003], 4),
  makeOp(linear, 2, [3, 1000], 5),
];
const always: Use = { direct: "always" };
/** Less than these take, so that places are used again and again. */
const sliced: Use = { direct: "always", memory: 3_000_000 };
const large = [makeOp(linear, 3, [1, 1_100_003], 4), makeOp(ties, 3, [1000, 1031], 3)];
const wanted = runOps(ops);

const directBytes = (outcomes: Awaited<typeof wanted>) =>
  outcomes.map(({ result }) => result.directBytes ?? 0).reduce((sum, bytes) => sum + bytes, 0);

/** Whether the file system of temporary files lets O_DIRECT through: one in memory alone need not. */
const SERVED = await inFolder((folder) => {
  writeFileSync(join(folder, "x"), "x");
  try {
    closeSync(openSync(join(folder, "x"), constants.O_RDONLY | constants.O_DIRECT));
    return true;
  } catch {
    return false;
  }
});

describe.skipIf(!SERVED)("files read straight into a device's memory", () => {
  test("give the CPU's bytes, on one device and on two", async () => {
    const whole = await onDevice(ops, "slow=50", always);
    expect(difference(ops, whole, await wanted)).toBeUndefined();
    expect(stayed(whole)).toBe(ops.length);
    // Once of each input, all but small pieces.
    const sizes = ops.slice(0, 4).flatMap(({ inputs }) => inputs.map(({ bytes }) => bytes.length));
    const all = sizes.reduce((sum, bytes) => sum + bytes, 0);
    expect(directBytes(whole)).toBeGreaterThan(0.9 * all);
    expect(directBytes(whole)).toBeLessThanOrEqual(all);
    const both = await onDevice(ops, "devices=2", { ...always, devices: [0, 1] });
    expect(difference(ops, both, await wanted)).toBeUndefined();
    expect(directBytes(both)).toBeGreaterThan(0.9 * all);
  });

  test("land where the device is done with what lay there", async () => {
    const cpu = await runOps(large);
    for (const orders of ["slow=2000", "slow=200 direct=parts"]) {
      const found = await onDevice(large, orders, sliced);
      expect([orders, difference(large, found, cpu), stayed(found)]).toEqual([orders, undefined, large.length]);
      expect(directBytes(found)).toBeGreaterThan(1e7);
    }
  });

  test("are let go of, and the memory they went to", async () => {
    await onDevices("", always, async () => {
      await runOps(ops.map((op) => ({ ...op, device: true })));
      expect(directReads().memories).toBeGreaterThan(0);
      expect(directReads().files).toBeGreaterThan(0);
    });
    const { files, memories } = directReads();
    expect([files, memories]).toEqual([0, 0]);
  });

  test("come through the host's memory where a read fails, and from then on", async () => {
    // The first read is the one that is checked.
    for (const n of [2, 3, 7]) {
      let reads = 0;
      const found = await onDevices(`direct-fail=${n}`, always, async () => {
        const outcomes = await runOps(ops.map((op) => ({ ...op, device: true })));
        reads = directReads().reads;
        return outcomes;
      });
      expect([n, difference(ops, found, await wanted), stayed(found)]).toEqual([n, undefined, ops.length]);
      // Those that had begun.
      expect(reads).toBeLessThan(n + 20);
    }
  });

  test.each([
    ["cannot be registered", "direct=none", 0],
    ["are not what comes", "direct=wrong", 1],
    ["do not come at all", "direct-fail=1", 1],
  ])("come through the host's memory where they %s", async (_, orders, reads) => {
    const found = await onDevices(orders, always, async () => {
      const outcomes = await runOps(ops.map((op) => ({ ...op, device: true })));
      expect(directReads().reads).toBe(reads);
      return outcomes;
    });
    expect(difference(ops, found, await wanted)).toBeUndefined();
    expect([stayed(found), directBytes(found)]).toEqual([ops.length, 0]);
  });

  test("are read by one cuFile, whatever it is called", async () => {
    await inFolder(async (folder) => {
      const other = join(folder, "libcufile.so.0");
      symlinkSync(HOST_LIBRARY, other);
      for (const cufile of [HOST_LIBRARY, other]) {
        expect(directBytes(await onDevice(ops, "", { ...always, cufile }))).toBeGreaterThan(0);
      }
      expect(directReads().drivers).toBe(1);
    });
  });

  test.each([
    ["is open already", 5026, true],
    ["does not open", 5010, false],
  ])("are read by a cuFile whose driver %s: error %d, %p", async (_, error, works) => {
    await inFolder(async (folder) => {
      // One that nobody has opened yet, and that is told by itself.
      const cufile = join(folder, "libcufile.so.0");
      copyFileSync(HOST_LIBRARY, cufile);
      const own = dlopen(cufile, { sinter_host_device_tell: { args: [FFIType.cstring], returns: FFIType.void } });
      own.symbols.sinter_host_device_tell(Buffer.from(`driver=${error}\0`));
      const found = await onDevice(ops, "", { ...always, cufile });
      expect(difference(ops, found, await wanted)).toBeUndefined();
      expect(directBytes(found) > 0).toBe(works);
    });
  });

  test("are those of a failing op, too: the CPU does it, and counts nothing of it", async () => {
    const found = await onDevice(ops, "fail-late=2", { ...sliced, strict: false });
    expect(difference(ops, found, await wanted)).toBeUndefined();
    const returned = found.filter(({ result }) => result.returned !== undefined);
    expect(returned.map(({ result }) => result.directBytes)).toEqual([undefined]);
  });

  test("are those that the system does not hold in memory", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "inputs");
      const bytes = 3_000_000;
      writeFileSync(path, new Uint8Array(2 * bytes).fill(1));
      expect(await directOf(path, bytes, "auto")).toBe(0);
      const dropped = drop(path);
      if (dropped) expect(await directOf(path, bytes, "auto")).toBeGreaterThan(bytes);
      expect(await directOf(path, bytes, "never")).toBe(0);
    });
  });

  test("are not read so for long where that is slower", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "inputs");
      const bytes = 60e6;
      writeFileSync(path, new Uint8Array(2 * bytes).fill(1));
      if (!drop(path)) return;
      // A tenth of a second for a megabyte: no disk is as slow.
      const direct = await directOf(path, bytes, "auto", "direct-slow=100000");
      expect(direct).toBeGreaterThan(0);
      expect(direct).toBeLessThan(bytes);
    });
  });
});

/** Bytes that were read directly of a file that holds two inputs of so many bytes. */
async function directOf(path: string, bytes: number, direct: DirectUse, orders = ""): Promise<number> {
  const addon = native();
  return await onDevices(orders, { direct }, async () => {
    const source = addon.openSource(path);
    try {
      const { directBytes = 0 } = await addon.checksum({
        kernel: "linear",
        params: linear.params(2, bytes / 2, 0),
        inputs: [0, 1].map((k) => ({ source: source.handle, offset: k * bytes, dtype: "BF16", stream: k })),
        count: bytes / 2,
        rows: 1,
        columns: bytes / 2,
        seed: 0,
        tensor: "w",
        dtype: "BF16",
        device: true,
      });
      return directBytes;
    } finally {
      addon.close(source.handle);
    }
  });
}

const { symbols: libc } = dlopen("libc.so.6", {
  posix_fadvise: { args: [FFIType.i32, FFIType.i64, FFIType.i64, FFIType.i32], returns: FFIType.i32 },
  mmap: {
    args: [FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.i32, FFIType.i32, FFIType.i64],
    returns: FFIType.ptr,
  },
  mincore: { args: [FFIType.ptr, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  munmap: { args: [FFIType.ptr, FFIType.u64], returns: FFIType.i32 },
});
const DONTNEED = 4;
const [PROT_READ, MAP_SHARED] = [1, 1];

/** Asks the system to forget what it holds of a file. @returns whether it did. */
function drop(path: string): boolean {
  const file = openSync(path, "r+");
  fsyncSync(file);
  libc.posix_fadvise(file, 0n, 0n, DONTNEED);
  const { size } = fstatSync(file);
  const mapped = libc.mmap(null, size, PROT_READ, MAP_SHARED, file, 0n);
  const held = new Uint8Array(Math.ceil(size / 4096)).fill(1);
  libc.mincore(mapped, size, ptr(held));
  libc.munmap(mapped, size);
  closeSync(file);
  return held.every((page) => (page & 1) === 0);
}
