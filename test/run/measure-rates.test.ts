import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { native } from "../../src/native.ts";
import { MEASURED_KERNELS } from "../../src/run/device-cost.ts";
import { measureRates } from "../../src/run/measure-rates.ts";
import { failure } from "../native/failures.ts";
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

test("every kernel is measured on the CPU and on the device, and nothing is left behind", async () => {
  tell("");
  const said: string[] = [];
  const rates = await measureRates(native(), 0, HOST_LIBRARY, (what) => said.push(what), SMALL);
  const kernels = Object.keys(MEASURED_KERNELS);
  expect(Object.keys(rates.cpu)).toEqual(kernels);
  expect(Object.keys(rates.device)).toEqual(kernels);
  for (const rate of [rates.read, rates.upload, rates.download, rates.copy, ...Object.values(rates.cpu)]) {
    expect(rate).toBeGreaterThan(0);
    expect(Number.isFinite(rate)).toBe(true);
  }
  expect(rates.overhead).toBeGreaterThan(0);
  expect(said).toEqual(["reading", ...kernels.map((k) => `${k} on the CPU`), ...kernels.map((k) => `${k} on cuda:0`)]);
  expect(readdirSync(folder)).toEqual([]);
});

test("a device that fails while it is measured is no measurement", async () => {
  for (const orders of ["fail=20", "fail=500", "no-memory=1"]) {
    tell(orders);
    expect([orders, (await failure(() => measureRates(native(), 0, HOST_LIBRARY, () => {}, SMALL)))?.code]).toEqual([
      orders,
      "DEVICE_FAILED",
    ]);
  }
  tell("");
});
