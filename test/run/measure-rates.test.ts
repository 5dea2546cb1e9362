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

test("every kernel is measured on the CPU and on each device, and nothing is left behind", async () => {
  tell("devices=3");
  const said: string[] = [];
  const rates = await measureRates(native(), [0, 2], HOST_LIBRARY, (what) => said.push(what), SMALL);
  const kernels = Object.keys(MEASURED_KERNELS);
  expect(Object.keys(rates.cpu)).toEqual(kernels);
  expect(Object.keys(rates.devices)).toEqual(["0", "2"]);
  const found = [rates.read, ...Object.values(rates.cpu)];
  for (const { upload, download, copy, overhead, kernels: own } of Object.values(rates.devices)) {
    expect(Object.keys(own)).toEqual(kernels);
    found.push(upload, download, copy, overhead, ...Object.values(own));
  }
  for (const rate of found) {
    expect(rate).toBeGreaterThan(0);
    expect(Number.isFinite(rate)).toBe(true);
  }
  const places = ["the CPU", "cuda:0", "cuda:2"];
  expect(said).toEqual(["reading", ...places.flatMap((place) => kernels.map((kernel) => `${kernel} on ${place}`))]);
  expect(readdirSync(folder)).toEqual([]);
});

test("a device that fails while it is measured is no measurement", async () => {
  for (const orders of ["fail=20", "fail=500", "no-memory=1"]) {
    tell(orders);
    expect([orders, (await failure(() => measureRates(native(), [0], HOST_LIBRARY, () => {}, SMALL)))?.code]).toEqual([
      orders,
      "DEVICE_FAILED",
    ]);
  }
  tell("");
});
