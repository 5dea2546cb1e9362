import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SinterError } from "../../src/errors.ts";
import type { Addon, NativeDevice, NativeDevices } from "../../src/native.ts";
import type { MergeOp, MergePlan } from "../../src/plan/types.ts";
import { computedOn, returnedWarnings, unfitWarnings } from "../../src/run/computed-on.ts";
import { type DeviceRates, MEASURED_KERNELS, type Rates } from "../../src/run/device-cost.ts";
import { keepRates, ratesFile, ratesOf, ratesToKeep, readRates } from "../../src/run/device-rates.ts";
import {
  chooseDevices,
  type DeviceRequest,
  deviceSummary,
  forwardDevice,
  requireDevices,
  useDevices,
} from "../../src/run/devices.ts";
import { nativeProblem } from "../../src/run/native-error.ts";
import { fakeAddon } from "./fake-addon.ts";

const DEVICE: NativeDevice = {
  index: 0,
  name: "Fake 100",
  memory: 80e9,
  free: 70e9,
  capability: "9.0",
  driver: "12.4",
};
const SECOND: NativeDevice = { ...DEVICE, index: 1, name: "Fake 200" };
const BROKEN = { index: 1, failure: "no context" } as NativeDevice;
const those = (...devices: NativeDevice[]): NativeDevices => ({ path: "lib.so", count: devices.length, devices });
const TWO = those(DEVICE, SECOND);
const NONE: NativeDevices = { ...those(), lack: { what: "device", message: "no driver" } };
const CUDA: DeviceRequest = { mode: "cuda", device: 0, lowMemory: false };
const AUTO: DeviceRequest = { mode: "auto", device: 0, lowMemory: false };

const every = (rate: number) => Object.fromEntries(Object.keys(MEASURED_KERNELS).map((kernel) => [kernel, rate]));
const FAST: DeviceRates = { upload: 2e10, download: 2e10, copy: 1e10, kernels: every(1e10), overhead: 1e-4 };
const RATES: Rates = { read: 3e10, cpu: every(1e9), devices: { 0: FAST, 1: FAST } };
const THREADS = fakeAddon().info().threads;
const keptOf = (devices: Rates["devices"]) => ratesToKeep({ ...RATES, devices }, TWO.devices, THREADS);
const KEPT = keptOf(RATES.devices);

let folder = "";
let before: string | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sinter-devices-"));
  before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = folder;
});
afterEach(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  rmSync(folder, { recursive: true, force: true });
});

/** `opened`: what it was asked to open, call by call. */
function addonWith(found: NativeDevices): { addon: Addon; used: unknown[]; opened: number[] } {
  const used: unknown[] = [];
  const opened: number[] = [];
  const devices: Addon["devices"] = (_, wanted, cufile) => {
    expect(cufile).toBeUndefined();
    const those = found.devices.filter(({ index }) => wanted === undefined || wanted.includes(index));
    opened.push(...those.map(({ index }) => index));
    return { ...found, devices: those };
  };
  return { addon: { ...fakeAddon(), devices, useDevices: (use) => used.push(use) }, used, opened };
}

function op(kernel: string, elements: number): MergeOp {
  const view = { file: "f", offset: 0, dtype: "BF16" as const, shape: [elements] };
  const inputs = [0, 1, 2].map((position) => ({ view, model: "m", tensor: "t", position }));
  return { tensor: "t", dtype: "BF16", shape: [elements], shard: 0, offset: 0, kernel, inputs, params: [] };
}

describe("a device that is asked for", () => {
  test("takes all that devices compute, and nothing else", () => {
    const { addon, used } = addonWith(TWO);
    const use = useDevices({ ...CUDA, memory: 5 }, addon);
    expect(use.devices).toEqual(["cuda:0 (Fake 100)"]);
    expect(use.choose(op("ties", 10))).toEqual({ device: true, reason: "asked for" });
    expect(use.choose(op("copy", 10)).device).toBe(false);
    expect(used).toEqual([expect.objectContaining({ devices: [0], memory: 5, pinned: undefined, strict: true })]);
  });

  test("may be all of them, with little host memory", () => {
    const { addon, used } = addonWith(TWO);
    expect(useDevices({ ...CUDA, device: "all", lowMemory: true }, addon).devices).toHaveLength(2);
    expect(used).toEqual([expect.objectContaining({ devices: [0, 1], pinned: 16 << 20 })]);
  });

  test("is opened, and no other", () => {
    const { addon, opened } = addonWith(those(DEVICE, SECOND, { ...DEVICE, index: 2 }));
    requireDevices({ ...CUDA, device: 1 }, addon);
    chooseDevices({ ...CUDA, device: 1 }, addon);
    expect(new Set(opened)).toEqual(new Set([1]));
  });

  test("is an error where it is not there: which of library, driver or device is missing, and what to do", () => {
    for (const [devices, request, message] of [
      [NONE, CUDA, "no driver"],
      [
        { ...NONE, lack: { what: "library", message: "no library" } },
        CUDA,
        "install a release that has it, or build it",
      ],
      [TWO, { ...CUDA, device: 2 }, "there is no device cuda:2\n  → there is cuda:0, cuda:1"],
      [those(DEVICE, BROKEN), { ...CUDA, device: 1 }, "cuda:1 cannot be used: no context"],
      [those(BROKEN), { ...CUDA, device: "all" }, "cuda:1 cannot be used: no context"],
    ] as const) {
      const { addon } = addonWith(devices as NativeDevices);
      const call = () => requireDevices(request, addon);
      expect(call).toThrow(SinterError);
      expect(call).toThrow(message);
      expect(call).toThrow("→ ");
    }
  });

  test("of all of them, one that cannot be used is left out, with a warning", () => {
    for (const request of [CUDA, AUTO]) {
      keepRates(KEPT);
      const { addon, used } = addonWith(those(DEVICE, BROKEN, { ...DEVICE, index: 2 }));
      const use = useDevices({ ...request, device: "all" }, addon);
      expect(use.devices).toEqual(["cuda:0 (Fake 100)", "cuda:2 (Fake 100)"]);
      expect(use.warnings).toEqual([
        expect.objectContaining({
          code: "device-left-out",
          message: "cuda:1 cannot be used: no context: it is left out",
        }),
      ]);
      expect(used).toEqual([expect.objectContaining({ devices: [0, 2] })]);
    }
  });

  test("multiplies for a forward pass: of all the first that can be used, and none is opened after it", () => {
    const { addon, opened } = addonWith(those({ ...BROKEN, index: 0 }, SECOND, { ...DEVICE, index: 2 }));
    expect(forwardDevice({ ...CUDA, device: "all" }, addon)?.index).toBe(1);
    expect(opened).toEqual([0, 1]);
    expect(forwardDevice({ ...CUDA, device: 2 }, addon)?.index).toBe(2);
    expect(forwardDevice(AUTO, addon)).toBeUndefined();
  });
});

describe("auto", () => {
  test("is the CPU without a library, a device or measurements, and says why", () => {
    const says = (devices: NativeDevices, reason: RegExp) => {
      const { addon, used } = addonWith(devices);
      expect(useDevices(AUTO, addon)).toMatchObject({ devices: [], reason: expect.stringMatching(reason) });
      expect(used).toEqual([undefined]);
    };
    says(TWO, /^no GPU was measured/);
    // Nor is any device asked then.
    const devices = () => expect.unreachable();
    expect(chooseDevices(AUTO, { ...fakeAddon(), devices }).devices).toEqual([]);
    keepRates({ ...KEPT, machine: "another" });
    says(TWO, /^CPU, threads or Sinter are not those/);
    expect(chooseDevices(AUTO, { ...fakeAddon(), devices }).devices).toEqual([]);
    keepRates(KEPT);
    says(NONE, /^no driver$/);
    says(those({ ...DEVICE, driver: "12.8" }), /^cuda:0 \(Fake 100\) was not measured with this driver \(/);
  });

  test("opens the device that it may take, and no other", () => {
    keepRates(KEPT);
    const { addon, opened } = addonWith(TWO);
    expect(chooseDevices({ ...AUTO, device: 1 }, addon).devices).toEqual(["cuda:1 (Fake 200)"]);
    expect(opened).toEqual([1]);
  });

  test("takes a device for what is faster there by what was measured", () => {
    keepRates(KEPT);
    const { addon, used } = addonWith(TWO);
    const use = useDevices(AUTO, addon);
    expect(use.choose(op("ties", 1e8)).device).toBe(true);
    expect(use.choose(op("ties", 1000)).device).toBe(false);
    expect(used).toEqual([expect.objectContaining({ devices: [0], strict: false })]);
  });

  test("asks the rates of the device that it may take, and of several the slowest's", () => {
    const slow = { ...FAST, upload: 1e8 };
    keepRates(keptOf({ 0: FAST, 1: slow }));
    const choice = (device: DeviceRequest["device"]) =>
      chooseDevices({ ...AUTO, device }, addonWith(TWO).addon).choose(op("ties", 1e8));
    expect(choice(0)).toEqual({ device: true, reason: "faster by the measured rates" });
    expect(choice(1)).toEqual({ device: false, reason: "the CPU is as fast or faster" });
    expect(choice("all")).toEqual({ device: false, reason: "the CPU is as fast or faster than cuda:1" });
    const { ties: _, ...others } = FAST.kernels;
    keepRates(keptOf({ 0: FAST, 1: { ...FAST, kernels: others } }));
    expect(choice("all")).toEqual({ device: false, reason: "ties was not measured on cuda:1" });
  });

  test("leaves out a device that was not measured, where all are asked for", () => {
    keepRates(keptOf({ 0: FAST }));
    const use = chooseDevices({ ...AUTO, device: "all" }, addonWith(TWO).addon);
    expect(use.devices).toEqual(["cuda:0 (Fake 100)"]);
    expect(use.warnings.map(({ message }) => message)).toEqual([
      "cuda:1 (Fake 200) was not measured with this driver: it is left out",
    ]);
    expect(use.choose(op("ties", 1e8)).device).toBe(true);
  });

  test("asks each device's own free memory: what does not fit is read again in each pass", () => {
    const half = { ...FAST, kernels: every(1e12), upload: 1.2e9 };
    keepRates(keptOf({ 0: half, 1: half }));
    const small = those(DEVICE, { ...SECOND, free: 1e6 });
    const choice = (device: DeviceRequest["device"]) =>
      chooseDevices({ ...AUTO, device }, addonWith(small).addon).choose(op("ties", 1e8)).device;
    expect([choice(0), choice(1), choice("all")]).toEqual([true, false, false]);
  });

  test("does not take the measurements of another machine or version, nor what is none", () => {
    keepRates(KEPT);
    expect(readRates(THREADS)).toEqual(KEPT);
    expect(readRates(THREADS + 1)).toBeUndefined();
    const [first] = KEPT.devices;
    const wrong = [
      { ...KEPT, read: -1 },
      { ...KEPT, devices: [{ ...first, rates: { ...FAST, upload: undefined } }] },
      { ...KEPT, devices: [{ ...first, rates: { ...FAST, kernels: every(0) } }] },
      { ...KEPT, devices: [{ ...first, device: undefined }] },
      { ...KEPT, devices: { 0: first } },
      { ...KEPT, devices: undefined },
      // As it was kept before each device had its own.
      { fingerprint: KEPT.machine, rates: RATES },
    ];
    for (const text of ["", "{", "null", ...wrong.map((kept) => JSON.stringify(kept))]) {
      writeFileSync(ratesFile(), text);
      expect(readRates(THREADS)).toBeUndefined();
    }
  });

  test("knows a device again whatever its number, and which others there are", () => {
    const slow = { ...FAST, upload: 1 };
    const kept = keptOf({ 0: FAST, 1: slow });
    expect(ratesOf(kept, [{ ...SECOND, index: 0 }]).devices).toEqual({ 0: slow });
    expect(ratesOf(kept, [DEVICE, { ...SECOND, index: 5 }]).devices).toEqual({ 0: FAST, 5: slow });
    for (const change of [{ driver: "12.8" }, { memory: 40e9 }, { capability: "8.0" }, { name: "Fake 300" }]) {
      expect(ratesOf(kept, [{ ...DEVICE, ...change }, SECOND]).devices).toEqual({ 1: slow });
    }
  });

  test("of devices that are alike takes the one of the same number, else the slowest", () => {
    const [fast, slow] = [FAST, { ...FAST, upload: 1 }];
    const twins = [DEVICE, { ...DEVICE, index: 1 }];
    const kept = ratesToKeep({ ...RATES, devices: { 0: fast, 1: slow } }, twins, THREADS);
    expect(ratesOf(kept, twins).devices).toEqual({ 0: fast, 1: slow });
    expect(ratesOf(kept, [{ ...DEVICE, index: 7 }]).devices).toEqual({ 7: slow });
  });

  test("keeps measurements in the user's cache, whole", () => {
    const file = keepRates(KEPT);
    expect(file).toBe(join(folder, "sinter", "device-rates.json"));
    expect(readdirSync(join(folder, "sinter"))).toEqual(["device-rates.json"]);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(KEPT);
    expect(ratesFile({ HOME: "/x" })).toEndWith("/.cache/sinter/device-rates.json");
    expect(existsSync(file)).toBe(true);
  });
});

test("a plan's tensors are counted by where they go and why", () => {
  const ops = [op("ties", 10), op("ties", 20), op("dare_ties", 5), op("copy", 7)];
  const lines = deviceSummary({ ops } as unknown as MergePlan, chooseDevices(CUDA, addonWith(TWO).addon));
  expect(lines).toEqual([
    "cuda:0 (Fake 100): asked for  (3 tensors: ties, dare_ties)",
    "CPU: copied: nothing is computed  (1 tensors: copy)",
  ]);
});

test("what computed is counted, devices first; what was given up is a warning for each reason", () => {
  const result = { checksum: "", crc32: 0, nonFinite: [] };
  const results = [
    { ...result, returned: "cuda:0 (x): out of memory" },
    { ...result, device: "cuda:0 (x)" },
    { ...result, device: "cuda:0 (x)" },
  ];
  expect([...computedOn(results)]).toEqual([
    ["cuda:0 (x)", 2],
    ["cpu", 1],
  ]);
  const [warning, ...others] = returnedWarnings(results);
  expect(others).toEqual([]);
  expect(warning?.message).toBe("cuda:0 (x): out of memory: 1 tensor was computed elsewhere, with the same bytes");
  expect(warning?.hint).toStartWith("--memory-gpu limits what is taken");
  expect(unfitWarnings(results)).toEqual([]);
});

test("memory of the host that is missing is not the GPU's", () => {
  const given = (returned: string) => returnedWarnings([{ checksum: "", crc32: 0, nonFinite: [], returned }])[0]?.hint;
  for (const said of ["allocating pinned memory: out of host memory", "no pinned memory"]) {
    const reason = `cuda:0 (x): out of memory: ${said}`;
    expect(given(reason)).toStartWith("--low-cpu-memory limits what is taken");
    const failure = Object.assign(new Error(reason), { code: "DEVICE_FAILED" });
    expect(nativeProblem(failure, {}).hint).toContain("--low-cpu-memory takes less");
  }
  const failure = Object.assign(new Error("cuda:0 (host memory 0): out of memory"), { code: "DEVICE_FAILED" });
  expect(nativeProblem(failure, {}).hint).toContain("--memory-gpu takes less");
});

test("tensors that were to go to a GPU and did not fit there are counted", () => {
  const result = { checksum: "", crc32: 0, nonFinite: [] };
  const unfit = { ...result, unfit: true };
  const [warning, ...others] = unfitWarnings([unfit, result, unfit]);
  expect(others).toEqual([]);
  expect(warning?.message).toBe(
    "2 tensors were computed by the CPU, with the same bytes: too large for the memory that may be taken of a GPU",
  );
  const [lost] = unfitWarnings([unfit, { ...result, returned: "cuda:0 (x): lost: the device is gone" }]);
  expect(lost?.message).toContain("no GPU was left");
});
