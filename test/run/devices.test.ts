import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SinterError } from "../../src/errors.ts";
import type { Addon, NativeDevice, NativeDevices } from "../../src/native.ts";
import type { MergeOp, MergePlan } from "../../src/plan/types.ts";
import { computedOn, returnedWarnings } from "../../src/run/computed-on.ts";
import { type DeviceRates, MEASURED_KERNELS, type Rates } from "../../src/run/device-cost.ts";
import { fingerprintOf, keepRates, ratesFile, readRates } from "../../src/run/device-rates.ts";
import { chooseDevices, type DeviceRequest, deviceSummary, requireDevices, useDevices } from "../../src/run/devices.ts";
import { fakeAddon } from "./fake-addon.ts";

const DEVICE: NativeDevice = {
  name: "Fake 100",
  memory: 80e9,
  free: 70e9,
  capability: "9.0",
  driver: "12.4",
  runtime: "12.4",
};
const TWO: NativeDevices = { path: "lib.so", devices: [DEVICE, { ...DEVICE, name: "Fake 200" }] };
const NONE: NativeDevices = { path: "lib.so", devices: [], lack: { what: "device", message: "no driver" } };
const CUDA: DeviceRequest = { mode: "cuda", device: 0, lowMemory: false };
const AUTO: DeviceRequest = { mode: "auto", device: 0, lowMemory: false };

const every = (rate: number) => Object.fromEntries(Object.keys(MEASURED_KERNELS).map((kernel) => [kernel, rate]));
const FAST: DeviceRates = { upload: 2e10, download: 2e10, copy: 1e10, kernels: every(1e10), overhead: 1e-4 };
const RATES: Rates = { read: 3e10, cpu: every(1e9), devices: { 0: FAST, 1: FAST } };

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

function addonWith(devices: NativeDevices): { addon: Addon; used: unknown[] } {
  const used: unknown[] = [];
  return { addon: { ...fakeAddon(), devices: () => devices, useDevices: (use) => used.push(use) }, used };
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

  test("is an error where it is not there: which of library, driver or device is missing, and what to do", () => {
    const broken = { ...TWO, devices: [{ ...DEVICE, failure: "no context" }] };
    for (const [devices, request, message] of [
      [NONE, CUDA, "no driver"],
      [TWO, { ...CUDA, device: 2 }, "there is no device cuda:2"],
      [broken, CUDA, "cuda:0 cannot be used: no context"],
    ] as const) {
      const { addon } = addonWith(devices);
      const call = () => requireDevices(request, addon);
      expect(call).toThrow(SinterError);
      expect(call).toThrow(message);
      expect(call).toThrow("→ ");
    }
  });
});

describe("auto", () => {
  const fingerprint = fingerprintOf(TWO.devices, fakeAddon().info().threads);

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
    keepRates({ fingerprint: "another machine", rates: RATES });
    says(NONE, /^no driver$/);
    says(TWO, /^GPUs, driver, threads or Sinter are not those/);
  });

  test("takes a device for what is faster there by what was measured", () => {
    keepRates({ fingerprint, rates: RATES });
    const { addon, used } = addonWith(TWO);
    const use = useDevices(AUTO, addon);
    expect(use.choose(op("ties", 1e8)).device).toBe(true);
    expect(use.choose(op("ties", 1000)).device).toBe(false);
    expect(used).toEqual([expect.objectContaining({ devices: [0], strict: false })]);
  });

  test("asks the rates of the device that it may take, and of several the slowest's", () => {
    const slow = { ...FAST, upload: 1e8 };
    keepRates({ fingerprint, rates: { ...RATES, devices: { 0: FAST, 1: slow } } });
    const choice = (device: DeviceRequest["device"]) =>
      chooseDevices({ ...AUTO, device }, addonWith(TWO).addon).choose(op("ties", 1e8));
    expect(choice(0)).toEqual({ device: true, reason: "faster by the measured rates" });
    expect(choice(1)).toEqual({ device: false, reason: "the CPU is as fast or faster" });
    expect(choice("all")).toEqual({ device: false, reason: "the CPU is as fast or faster than cuda:1" });
    keepRates({ fingerprint, rates: { ...RATES, devices: { 0: FAST } } });
    expect(choice("all")).toEqual({ device: false, reason: "ties was not measured on cuda:1" });
  });

  test("asks each device's own free memory: what does not fit is read again in each pass", () => {
    const half = { ...FAST, kernels: every(1e12), upload: 1.2e9 };
    keepRates({ fingerprint, rates: { ...RATES, devices: { 0: half, 1: half } } });
    const small = { ...TWO, devices: [DEVICE, { ...DEVICE, name: "Fake 200", free: 1e6 }] };
    const choice = (device: DeviceRequest["device"]) =>
      chooseDevices({ ...AUTO, device }, addonWith(small).addon).choose(op("ties", 1e8)).device;
    expect([choice(0), choice(1), choice("all")]).toEqual([true, false, false]);
  });

  test("does not take the measurements of another machine, driver or version, nor what is none", () => {
    keepRates({ fingerprint, rates: RATES });
    expect(readRates(fingerprint)).toEqual(RATES);
    expect(readRates(fingerprintOf([{ ...DEVICE, driver: "12.8" }], 2))).toBeUndefined();
    const wrong = [
      { ...RATES, read: -1 },
      { ...RATES, devices: { 0: { ...FAST, upload: undefined } } },
      { ...RATES, devices: { 0: { ...FAST, kernels: every(0) } } },
      { ...RATES, devices: undefined },
    ];
    for (const text of ["", "{", "null", ...wrong.map((rates) => JSON.stringify({ fingerprint, rates }))]) {
      writeFileSync(ratesFile(), text);
      expect(readRates(fingerprint)).toBeUndefined();
    }
  });

  test("keeps measurements in the user's cache, whole", () => {
    const file = keepRates({ fingerprint, rates: RATES });
    expect(file).toBe(join(folder, "sinter", "device-rates.json"));
    expect(readdirSync(join(folder, "sinter"))).toEqual(["device-rates.json"]);
    expect(JSON.parse(readFileSync(file, "utf8")).rates).toEqual(RATES);
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
});
