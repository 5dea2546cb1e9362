/**
 * Ops on devices in a process that is refused threads and memory (limits.cc): run by device-faults-limits.test.ts, with the
 * library as its first argument, and a folder. Prints what comes of each case, as JSON.
 */
import { dlopen, FFIType } from "bun:ffi";
import { native } from "../../../src/native.ts";
import { nativeInputs } from "../../../src/run/native-inputs.ts";
import { difference, linear, makeOp } from "../device-ops.ts";
import { onDevices, type Use } from "../host-device.ts";
import { added, Shelf } from "../patched.ts";
import { numbers, runOps } from "../workbench.ts";

const [library = "", folder = ""] = process.argv.slice(2);
const { symbols: limits } = dlopen(library, {
  limit_threads: { args: [FFIType.i64, FFIType.i64], returns: FFIType.void },
  limit_memory: { args: [FFIType.i64], returns: FFIType.void },
  limits_met: { args: [], returns: FFIType.i64 },
});

const ALL = 1_000_000;
/** Two slots. */
const PINNED = 128 << 20;

const ops = [0, 1, 2, 3].map((variant) => makeOp(linear, 3, [300, 1031], variant));
const wanted = await runOps(ops);

/** What comes of the ops: how many a device computed and why it did not, what is not the CPU's, and how often a limit was met. */
async function outcome(use: Use, before: () => void, queued: () => void) {
  try {
    before();
    return await onDevices("", { pinned: PINNED, ...use }, async () => {
      queued();
      const found = await runOps(ops.map((op) => ({ ...op, device: true })));
      const stayed = found.filter(({ result }) => result.device !== undefined).length;
      const returned = [...new Set(found.map(({ result }) => result.returned))];
      return { stayed, returned, wrong: difference(ops, found, wanted), met: Number(limits.limits_met()) };
    });
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    return { code, message, met: Number(limits.limits_met()) };
  } finally {
    limits.limit_threads(0, 0);
  }
}

/** An op whose input has an adapter's changes, of which a thread of the pool keeps more than a megabyte of products. */
async function computed(refused: number) {
  const [rows, columns] = [16, 70_000];
  const shelf = new Shelf(folder, "stored");
  const { list } = numbers(5);
  const patch = added([0, rows, columns, 1], {
    left: shelf.factor(list(rows, 0.1), "F32", [rows, 1]),
    right: shelf.factor(list(columns, 0.1), "F32", [1, columns]),
  });
  const view = { ...shelf.put(list(rows * columns, 1), "F32", [rows, columns]), patches: [patch] };
  shelf.close();
  const addon = native();
  const { handle } = addon.openSource(shelf.file);
  try {
    return await onDevices("", { pinned: PINNED }, async () => {
      limits.limit_memory(refused);
      const input = { model: "m", tensor: "w", position: 0, view };
      const params = [...linear.params(1, rows * columns, 0)];
      const op = { kernel: "linear", params, count: rows * columns, rows, columns, seed: 0, tensor: "w" };
      const { checksum, device } = await addon.checksum({
        ...op,
        dtype: "F32",
        ...nativeInputs([input], () => handle),
        device: true,
      });
      return { checksum, device };
    });
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    return { code, message, met: Number(limits.limits_met()) };
  } finally {
    limits.limit_memory(0);
    addon.close(handle);
  }
}

const nothing = () => {};
console.log(
  JSON.stringify({
    fewer: await outcome({}, nothing, () => limits.limit_threads(1, 1)),
    none: await outcome({}, nothing, () => limits.limit_threads(0, ALL)),
    cpu: await outcome({ strict: false }, nothing, () => limits.limit_threads(0, 1)),
    later: await outcome({}, nothing, nothing),
    readers: await outcome({}, () => limits.limit_threads(1, 1), nothing),
    noReaders: await outcome({}, () => limits.limit_threads(0, 1), nothing),
    memory: await computed(1),
    enough: await computed(0),
  }),
);
