import { afterAll, describe, expect, test } from "bun:test";
import { native } from "../../src/native.ts";
import { PATIENCE } from "../support/patience.ts";
import { difference, few, KINDS, MOST, makeOp, onDevice, type Shape, stayed, ties } from "./device-ops.ts";
import { counts, HOST_LIBRARY, onDevices, tell } from "./host-device.ts";
import { runOps, type WorkOp } from "./workbench.ts";

/*
 * Ops on devices in host memory, whose passes are the CPU's over slices: what is tested is all that lies between an op and
 * those passes. Outputs must be those of the CPU, to the bit.
 */

afterAll(() => native().configure({}));

/** Kernels that share the devices of one test: taking and leaving them takes longer than small ops do. */
const GROUPS = Array.from({ length: Math.ceil(KINDS.length / 4) }, (_, i) => KINDS.slice(4 * i, 4 * i + 4));

describe.each(GROUPS.map((group) => [[...new Set(group.map(({ kernel }) => kernel))].join(", "), group] as const))(
  "%s: the CPU's bytes",
  (_, group) => {
    test(
      "for all dtypes and sizes, whole and in slices, on one device and on two",
      async () => {
        const shapes: Shape[] = [
          [1, 1],
          [5, 3],
          [64, 1],
          [3, 1000],
          [129, 517],
          [1, 70_001],
          [300, 1031],
        ];
        const ops: WorkOp[] = [];
        let variant = 0;
        for (const kind of group) {
          for (const shape of shapes) {
            for (const inputs of few(kind)) {
              for (let i = 0; i < (shape[0] * shape[1] < 5000 ? 4 : 1); i++)
                ops.push(makeOp(kind, inputs, shape, variant++));
            }
          }
        }
        const wanted = await runOps(ops);
        const whole = await onDevice(ops);
        expect(difference(ops, whole, wanted)).toBeUndefined();
        expect(stayed(whole)).toBe(ops.length);
        const sliced = await onDevice(ops, "", { memory: 9_000_000, pinned: 1 });
        expect(difference(ops, sliced, wanted)).toBeUndefined();
        native().configure({ threads: 1 });
        const spread = await onDevice(ops, "devices=2", { devices: [0, 1] });
        native().configure({});
        expect(difference(ops, spread, wanted)).toBeUndefined();
        expect(new Set(spread.map(({ result }) => result.device)).size).toBe(2);
      },
      PATIENCE,
    );

    test(
      "for tensors of several tasks and blocks, within a small part of the memory that they take",
      async () => {
        const ops = group.flatMap((kind) => {
          const inputs = Math.min(3, Math.max(...kind.inputs));
          return [
            { ...makeOp(kind, inputs, [1048, 1049], 3), dtype: "F64" as const },
            { ...makeOp(kind, inputs, [44, 25_000], 8), dtype: "F32" as const },
            // Ranking rows of two elements takes the CPU seconds.
            makeOp(kind, inputs, kind.kernel.startsWith("della") ? [1999, 550] : [524_288 + 7, 2], 9),
          ];
        });
        const wanted = await runOps(ops);
        for (const memory of [9_000_000, 30_000_000]) {
          const found = await onDevice(ops, "slow=20", { memory, pinned: 1 });
          expect(stayed(found)).toBeGreaterThan(group.length);
          expect(difference(ops, found, wanted)).toBeUndefined();
        }
      },
      PATIENCE,
    );
  },
);

test("only devices that are wanted are opened, and cuFile where it is asked for; what there is is counted in any case", () => {
  const addon = native();
  const asked = (wanted?: number[], cufile?: string) => addon.devices(HOST_LIBRARY, wanted, cufile);
  tell("devices=3");
  expect(asked()).toMatchObject({ count: 3, runtime: "12.4", devices: [{ index: 0 }, { index: 1 }, { index: 2 }] });
  expect(asked([])).toMatchObject({ count: 3, runtime: "12.4", devices: [] });
  expect(asked([2, 3, 1e20, -1]).devices.map(({ index, name }) => [index, name])).toEqual([[2, "host memory 2"]]);
  expect(asked([0]).devices[0]?.directStorage).toBeUndefined();
  expect(asked([0], "").devices[0]?.directStorage).toBeUndefined();
  expect(asked([0], HOST_LIBRARY).devices[0]?.directStorage).toBe(HOST_LIBRARY);
  tell("absent=no-driver");
  expect(asked()).toMatchObject({ count: 0, runtime: "12.4", devices: [], lack: { what: "device" } });
  tell("version=9.9");
  expect(asked().runtime).toBeUndefined();
  tell("");
  expect(() => addon.devices(HOST_LIBRARY, ["0"] as never)).toThrow("numbers");
});

test("a device's memory is never taken beyond what is allowed", async () => {
  const ops = [3, 8, 9].map((variant) => makeOp(ties, 3, [1, MOST], variant));
  for (const memory of [6_000_000, 12_000_000, 100_000_000]) {
    await onDevices("", { memory }, async () => {
      const found = await runOps(ops.map((op) => ({ ...op, device: true })));
      expect(stayed(found)).toBe(ops.length);
      expect(counts().memory).toBeLessThanOrEqual(memory);
      expect(counts().memory).toBeGreaterThan(0);
    });
  }
});
