import { describe, expect, test } from "bun:test";
import { native } from "../../src/native.ts";
import { arcee, della, difference, input, linear, makeOp, nuslerp, onDevice, stayed, ties } from "./device-ops.ts";
import { failure } from "./failures.ts";
import { counts, HOST_LIBRARY, onDevices, tell } from "./host-device.ts";
import { runOps } from "./workbench.ts";

describe("whatever fails", () => {
  const ops = [
    makeOp(ties, 3, [400, 500], 3),
    makeOp(della, 3, [129, 517], 2),
    makeOp(nuslerp, 2, [300, 1031], 1),
    makeOp(arcee, 2, [300, 1031], 2),
  ];
  const use = { memory: 9_000_000, pinned: 1 };

  /** Calls that the ops take where all goes well. */
  async function calls(): Promise<number> {
    return await onDevices("", use, async () => {
      await runOps(ops.map((op) => ({ ...op, device: true })));
      return counts().calls;
    });
  }

  test("at any call: the CPU does what the device gave up, and nothing is done twice", async () => {
    const wanted = await runOps(ops);
    const most = await calls();
    for (let n = 1; n <= most; n += 1 + Math.trunc(n / 12)) {
      const found = await onDevice(ops, `fail=${n}`, { ...use, strict: false });
      expect([n, difference(ops, found, wanted)]).toEqual([n, undefined]);
      const returned = found.filter(({ result }) => result.returned !== undefined);
      expect([n, returned.length]).toEqual([n, 1]);
      expect(returned[0]?.result.device).toBeUndefined();
      expect(returned[0]?.result.returned).toBe("cuda:0 (host memory 0): failed: told to fail");
    }
  });

  test("during any pass, which shows later", async () => {
    const wanted = await runOps(ops);
    for (let n = 1; n <= 12; n++) {
      const found = await onDevice(ops, `fail-late=${n} slow=20`, { ...use, strict: false });
      expect([n, difference(ops, found, wanted)]).toEqual([n, undefined]);
      expect([n, found.filter(({ result }) => result.returned !== undefined).length]).toEqual([n, 1]);
    }
  });

  test("memory that runs out once is asked for again, less of it", async () => {
    const wanted = await runOps(ops);
    for (let n = 1; n <= 4; n++) {
      const found = await onDevice(ops, `refuse-memory=${n}`, { ...use, memory: 40_000_000 });
      expect([n, difference(ops, found, wanted), stayed(found)]).toEqual([n, undefined, ops.length]);
    }
  });

  test("memory that is not there at all leaves the CPU", async () => {
    const wanted = await runOps(ops);
    for (const orders of ["no-memory=1", "no-memory=2", "no-pinned=1", "no-pinned=5", "no-pinned=11"]) {
      const found = await onDevice(ops, orders, { ...use, strict: false });
      expect([orders, difference(ops, found, wanted)]).toEqual([orders, undefined]);
    }
  });

  test("a device that is lost takes no more ops: another one does, or the CPU", async () => {
    const many = Array.from({ length: 12 }, (_, i) => makeOp(linear, 3, [300, 1031], i));
    const wanted = await runOps(many);
    const alone = await onDevice(many, "lose=40", { ...use, strict: false });
    expect(difference(many, alone, wanted)).toBeUndefined();
    expect(stayed(alone)).toBeLessThan(many.length);
    for (const n of [1, 30, 60]) {
      // Both count their own calls: the second loses itself, too, but later.
      const both = await onDevice(many, `devices=2 lose=${n}`, { ...use, devices: [0, 1], strict: false });
      expect([n, difference(many, both, wanted)]).toEqual([n, undefined]);
    }
  });

  test("is an error that names the device where nothing else may compute", async () => {
    for (const orders of ["fail=60", "fail-late=2", "no-memory=1", "lose=50"]) {
      const error = await failure(() => onDevice(ops, orders, use));
      expect(error?.code).toBe("DEVICE_FAILED");
      expect(error?.message).toMatch(/^cuda:0 \(host memory 0\): (failed|out of memory|lost)/);
    }
  });
});

test("cancel ends what is queued and under way, and later ops run", async () => {
  const addon = native();
  const many = Array.from({ length: 8 }, (_, i) => makeOp(ties, 3, [1048, 1049], i));
  await onDevices("slow=2000", { memory: 9_000_000, pinned: 1 }, async () => {
    const running = failure(() => runOps(many.map((op) => ({ ...op, device: true }))));
    await Bun.sleep(30);
    addon.cancel();
    expect((await running)?.code).toBe("CANCELLED");
  });
  const op = makeOp(ties, 3, [300, 1031], 1);
  expect(difference([op], await onDevice([op]), await runOps([op]))).toBeUndefined();
});

test("inputs that do not lie one after another are put together on their way", async () => {
  const [rows, columns] = [300, 1031];
  const op = makeOp(ties, 3, [rows, columns], 3);
  const transposed = { sizes: [rows, columns], strides: [1, rows] };
  const strided = { ...op, inputs: op.inputs.map((one, k) => (k === 1 ? { ...one, layout: transposed } : one)) };
  const wanted = await runOps([strided]);
  for (const use of [{}, { memory: 4_000_000, pinned: 1 }]) {
    const found = await onDevice([strided], "", use);
    expect(stayed(found)).toBe(1);
    expect(difference([strided], found, wanted)).toBeUndefined();
  }
});

test("kernels that the device lacks, and copies, are the CPU's", async () => {
  const ops = [
    makeOp(ties, 3, [129, 517], 1),
    { ...makeOp(linear, 1, [10, 10], 0), kernel: "copy", params: [], dtype: "F64" as const },
    { kernel: "constant", params: [2], inputs: [], dtype: "F32" as const, count: 100 },
    {
      ...makeOp(linear, 3, [1, 1], 0),
      inputs: [0, 1, 2].map((k) => input(k, "F32", 0)),
      count: 0,
      rows: 0,
      columns: 0,
    },
  ];
  const found = await onDevice(ops, "lack=ties");
  expect(stayed(found)).toBe(0);
  expect(found.every(({ result }) => result.returned === undefined)).toBe(true);
  expect(difference(ops, found, await runOps(ops))).toBeUndefined();
});

test("what an input holds of NaN and infinity is told as the CPU tells it", async () => {
  const op = makeOp(linear, 3, [300, 1031], 1);
  const spoilt = op.inputs.map((one, k) => {
    const bytes = Uint8Array.from(one.bytes);
    if (k === 2) bytes.fill(0xff, bytes.length - 8);
    return { ...one, bytes };
  });
  const [found] = await onDevice([{ ...op, inputs: spoilt }], "", { memory: 4_000_000, pinned: 1 });
  expect(found?.result.nonFinite).toEqual([false, false, true]);
});

test("devices cannot be changed while ops are running, nor be others than there are", async () => {
  const addon = native();
  const use = { library: HOST_LIBRARY, strict: true };
  tell("devices=2");
  expect((await failure(() => addon.useDevices({ ...use, devices: [2] })))?.message).toBe("cuda:2: no such device");
  expect((await failure(() => addon.useDevices({ ...use, devices: [] })))?.code).toBe("BAD_ARGUMENT");
  expect(addon.devices(HOST_LIBRARY).devices.map(({ name }) => name)).toEqual(["host memory 0", "host memory 1"]);
});

test("a library that is absent, of another version or without a device says so", () => {
  const addon = native();
  const lack = (orders: string, file = HOST_LIBRARY) => {
    tell(orders);
    const { lack: found, devices } = addon.devices(file);
    tell("");
    expect(devices).toEqual([]);
    return [found?.what, found?.message.replace(file, "FILE")];
  };
  expect(lack("", "/nowhere/lib.so")).toEqual(["library", "there is no library for CUDA devices (FILE)"]);
  expect(lack("interface=9")[0]).toBe("version");
  expect(lack("version=9.9")).toEqual(["version", expect.stringMatching(/^FILE is of Sinter 9.9, this is /)]);
  expect(lack("absent=no-driver")).toEqual(["device", "no-driver"]);
  expect(lack("", import.meta.path)[0]).toBe("version");
});
