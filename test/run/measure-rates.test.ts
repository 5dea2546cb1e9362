import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Addon, native } from "../../src/native.ts";
import { MEASURED_KERNELS } from "../../src/run/device-cost.ts";
import { measureRates } from "../../src/run/measure-rates.ts";
import { HOST_LIBRARY, tell } from "../native/host-device.ts";

const before = process.env.TMPDIR;
const folder = mkdtempSync(join(tmpdir(), "sinter-rates-"));
process.env.TMPDIR = folder;
afterAll(() => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  rmSync(folder, { recursive: true });
});

const SMALL = { rows: 128, columns: 64 };
const KERNELS = Object.keys(MEASURED_KERNELS);

const measure = (devices: number[], addon = native(), said: (what: string) => void = () => {}) =>
  measureRates(addon, devices, HOST_LIBRARY, said, SMALL, 0);

test("every kernel is measured on the CPU and on each device, and nothing is left behind", async () => {
  tell("devices=3");
  const said: string[] = [];
  const { rates, warnings } = await measure([0, 2], native(), (what) => said.push(what));
  expect(warnings).toEqual([]);
  expect(Object.keys(rates.cpu)).toEqual(KERNELS);
  expect(Object.keys(rates.devices)).toEqual(["0", "2"]);
  const found = [rates.read, ...Object.values(rates.cpu)];
  for (const { upload, download, copy, overhead, kernels: own } of Object.values(rates.devices)) {
    expect(Object.keys(own)).toEqual(KERNELS);
    found.push(upload, download, copy, overhead, ...Object.values(own));
  }
  for (const rate of found) {
    expect(rate).toBeGreaterThan(0);
    expect(Number.isFinite(rate)).toBe(true);
  }
  const places = ["the CPU", "cuda:0", "cuda:2"];
  expect(said).toEqual(["reading", ...places.flatMap((place) => KERNELS.map((kernel) => `${kernel} on ${place}`))]);
  expect(readdirSync(folder)).toEqual([]);
});

test("a device that fails while it is measured is left out, and what is known of the CPU is kept", async () => {
  for (const orders of ["fail=20", "fail=500", "no-memory=1"]) {
    tell(orders);
    const { rates, warnings } = await measure([0]);
    expect([orders, rates.devices, Object.keys(rates.cpu)]).toEqual([orders, {}, KERNELS]);
    expect(warnings).toEqual([
      expect.objectContaining({
        code: "device-left-out",
        message: expect.stringMatching(/^cuda:0 could not be measured: cuda:0 \(host memory 0\): .*: it is left out$/),
      }),
    ]);
  }
  tell("");
});

/** The addon, but for some of its functions. */
function addonWith(own: Partial<Addon>): Addon {
  const addon = native();
  const names = Object.getOwnPropertyNames(addon) as (keyof Addon)[];
  return { ...(Object.fromEntries(names.map((name) => [name, addon[name].bind(addon)])) as unknown as Addon), ...own };
}

test("one device that cannot be used does not void the others", async () => {
  tell("devices=3");
  const useDevices: Addon["useDevices"] = (use) => {
    if (use?.devices[0] === 1) throw Object.assign(new Error("cuda:1: full"), { code: "DEVICE_FAILED" });
    native().useDevices(use);
  };
  const { rates, warnings } = await measure([0, 1, 2], addonWith({ useDevices }));
  expect(Object.keys(rates.devices)).toEqual(["0", "2"]);
  expect(warnings.map(({ message }) => message)).toEqual([
    "cuda:1 could not be measured: cuda:1: full: it is left out",
  ]);
  tell("");
});

test("what the CPU did in a device's place is no rate of the device", async () => {
  tell("lack=ties");
  const { rates, warnings } = await measure([0]);
  expect(Object.keys(rates.devices[0]?.kernels ?? {})).toEqual(KERNELS.filter((kernel) => kernel !== "ties"));
  expect(warnings.map(({ message }) => message)).toEqual([
    "cuda:0 has too little free memory for ties: not measured there",
  ]);
  // No op fits.
  tell("memory=20000");
  const none = await measure([0]);
  expect(none.rates.devices).toEqual({});
  expect(none.warnings[0]?.message).toBe("cuda:0 could not be measured: it has too little free memory: it is left out");
  tell("");
});

test("is measured several times, and the best counts", async () => {
  let calls = 0;
  const measureTransfers = () => ({ upload: 5 - Math.abs(3 - ++calls), download: calls, copy: 1 });
  tell("");
  const { rates } = await measureRates(addonWith({ measureTransfers }), [0], HOST_LIBRARY, () => {}, SMALL, 0.02);
  expect(calls).toBeGreaterThan(3);
  expect(rates.devices[0]).toMatchObject({ upload: 5, download: calls });
});
