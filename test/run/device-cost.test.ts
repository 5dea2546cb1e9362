import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Dtype } from "../../src/model/dtype.ts";
import { native } from "../../src/native.ts";
import type { MergeOp, OpInput } from "../../src/plan/types.ts";
import {
  type DeviceRates,
  estimate,
  isFasterOnDevice,
  MEASURED_KERNELS,
  measuredKernel,
  notForDevices,
  PASSES,
  type Rates,
} from "../../src/run/device-cost.ts";

const GB = 1e9;

/** A machine whose device computes everything at 40 GB/s and is fed at 20, and whose CPU is slow at what is hard. */
const DEVICE: DeviceRates = {
  upload: 20 * GB,
  download: 20 * GB,
  copy: 10 * GB,
  kernels: { linear: 40 * GB, ties: 40 * GB, della: 40 * GB, slerp: 40 * GB },
  overhead: 1e-4,
};
const RATES: Rates = {
  read: 30 * GB,
  cpu: { linear: 10 * GB, ties: 4 * GB, della: 1 * GB, slerp: 8 * GB },
  devices: { 0: DEVICE, 2: { ...DEVICE, upload: 1 * GB } },
};

function op(kernel: string, elements: number, models = 3, change: Partial<OpInput> = {}): MergeOp {
  const view = { file: "f", offset: 0, dtype: "BF16" as Dtype, shape: [elements] };
  const inputs = Array.from(
    { length: models },
    (_, position): OpInput => ({
      view,
      model: "m",
      tensor: "t",
      position,
      ...change,
    }),
  );
  return { tensor: "t", dtype: "BF16", shape: [elements], shard: 0, offset: 0, kernel, inputs, params: [] };
}

describe("an estimate", () => {
  test("is bytes over rates: the CPU's, and the slowest of what the device does", () => {
    // Three inputs and the output: 8 GB.
    const { cpu, device } = estimate(op("ties", 1e9), RATES, 0, 100 * GB) ?? { cpu: 0, device: 0 };
    expect(cpu).toBeCloseTo(8 / 4, 9);
    expect(device).toBeCloseTo(1e-4 + 6 / 20, 9);
  });

  test("reads inputs again in each pass where they do not fit the device's memory", () => {
    // Of the output no more than slices are there.
    const whole = estimate(op("ties", 1e9), RATES, 0, 6 * GB)?.device ?? 0;
    const slices = estimate(op("ties", 1e9), RATES, 0, 6 * GB - 1)?.device ?? 0;
    expect(slices - 1e-4).toBeCloseTo(PASSES.ties * (whole - 1e-4), 9);
  });

  test("is none for kernels that were not measured", () => {
    expect(estimate(op("karcher", 1e6), RATES, 0, GB)).toBeUndefined();
    expect(estimate(op("copy", 1e6, 1), RATES, 0, GB)).toBeUndefined();
  });

  test("is of one device, by its number", () => {
    expect(estimate(op("ties", 1e9), RATES, 2, 100 * GB)?.device).toBeCloseTo(1e-4 + 6 / 1, 9);
    expect(estimate(op("ties", 1e9), RATES, 1, 100 * GB)).toBeUndefined();
  });

  test("grows with the tensor, and falls with every rate", () => {
    const rate = fc.double({ min: 1e6, max: 1e12, noNaN: true });
    fc.assert(
      fc.property(rate, rate, rate, rate, fc.integer({ min: 1, max: 1e9 }), (read, upload, cpu, device, elements) => {
        const made = (times: number): Rates => ({
          read,
          cpu: { ties: cpu },
          devices: { 0: { ...DEVICE, upload: times * upload, kernels: { ties: times * device } } },
        });
        const [rates, faster] = [made(1), made(2)];
        const at = (n: number, given: Rates) => estimate(op("ties", n), given, 0, GB) ?? { cpu: 0, device: 0 };
        expect(at(2 * elements, rates).device).toBeGreaterThan(at(elements, rates).device);
        expect(at(2 * elements, rates).cpu).toBeCloseTo(2 * at(elements, rates).cpu, 6);
        expect(at(elements, faster).device).toBeLessThanOrEqual(at(elements, rates).device);
      }),
    );
  });
});

test("small tensors stay with the CPU, and so does what it computes as fast", () => {
  const takes = (one: MergeOp, rates = RATES) => isFasterOnDevice(estimate(one, rates, 0, 10 * GB) as never);
  expect(takes(op("ties", 1e8))).toBe(true);
  expect(takes(op("ties", 1000))).toBe(false);
  expect(takes(op("linear", 1e8))).toBe(true);
  expect(takes(op("linear", 1e8), { ...RATES, cpu: { linear: 25 * GB } })).toBe(false);
  // Not by less than measurements differ.
  expect(isFasterOnDevice({ cpu: 1, device: 0.95 })).toBe(false);
});

test("what the CPU computes of inputs is sent in the work type", () => {
  const slow: Rates = { ...RATES, devices: { 0: { ...DEVICE, upload: 1 * GB, overhead: 1e-12 } } };
  const seconds = (change: Partial<OpInput>) => estimate(op("ties", 1e9, 3, change), slow, 0, 100 * GB)?.device;
  const view = op("ties", 1e9).inputs[0]?.view as OpInput["view"];
  const piece = { view, model: "m", tensor: "t" };
  const gathered = (pieces: unknown[], ...codes: number[]) =>
    seconds({ gather: { pieces, rows: Int32Array.from(codes), mixes: new Int32Array() } as never });
  const patched = { ...view, patches: [{}] } as never;
  const half = { ...piece, view: { ...view, dtype: "F16" } };
  expect(seconds({})).toBeCloseTo(6, 6);
  expect(gathered([piece, piece], 0, -1, 3)).toBeCloseTo(6, 6);
  expect(seconds({ view: patched })).toBeCloseTo(12, 6);
  expect(gathered([piece], 0, -2, 3)).toBeCloseTo(12, 6);
  expect(gathered([piece, half], 0, 3)).toBeCloseTo(12, 6);
  expect(gathered([piece, { ...piece, view: patched }], 0, 3)).toBeCloseTo(12, 6);
  const wide = { ...op("ties", 1e9, 3, { view: patched }), dtype: "F64" as const };
  expect(estimate(wide, slow, 0, 100 * GB)?.device).toBeCloseTo(24, 6);
});

test("what no device computes is named with its reason", () => {
  expect(notForDevices(op("ties", 9))).toBeUndefined();
  expect(notForDevices(op("copy", 9, 1))).toBe("copied: nothing is computed");
  expect(notForDevices(op("constant", 9, 0))).toBe("made without an input");
  expect(notForDevices(op("ties", 0))).toBe("empty");
});

test("every kernel that merges is measured, or stands in for one that is", () => {
  const made = ["copy", "assemble", "constant", "literal", "normal", "uniform"];
  const { kernels } = native().info();
  expect(kernels.filter((kernel) => measuredKernel(kernel) === undefined).toSorted()).toEqual(made.toSorted());
  const known = Object.entries(MEASURED_KERNELS).flatMap(([kernel, kin]) => [kernel, ...kin]);
  expect(known.toSorted()).toEqual(kernels.filter((kernel) => !made.includes(kernel)).toSorted());
});
