import { afterAll, describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import type { TensorPatch, TensorView } from "../../src/model/types.ts";
import { type NativeOp, type NativeResult, native } from "../../src/native.ts";
import type { OpInput, RowGather } from "../../src/plan/types.ts";
import { nativeInputs } from "../../src/run/native-inputs.ts";
import { FLOAT_DTYPES } from "../oracle/dtype.ts";
import { della, few, KINDS, linear, type Shape, ties } from "./device-ops.ts";
import { counts, onDevices, type Use } from "./host-device.ts";
import type { Family } from "./kernel-families.ts";
import { added, Shelf } from "./patched.ts";
import { inFolder, numbers } from "./workbench.ts";

/*
 * Inputs that the host computes on their way to a device: adapters are applied, rows averaged or gathered from files of
 * several dtypes. Outputs, and what is said of NaN and infinity, must be those of the CPU, to the bit.
 */

afterAll(() => native().configure({}));

type Op = Omit<NativeOp, "sink" | "offset" | "crc32">;

/** Ops over tensors of one file. */
class Scene {
  readonly #shelf: Shelf;
  readonly #random = numbers(71);
  readonly #ops: { op: Omit<Op, "inputs">; inputs: OpInput[] }[] = [];
  #turn = 0;
  #gathers = 0;

  constructor(folder: string) {
    this.#shelf = new Shelf(folder, "stored");
  }

  /** An op whose inputs are in turn each of what a host computes, and plain ones; `variant` says which comes first. */
  add({ kernel, params }: Family, inputs: number, shape: Shape, variant: number): void {
    const [rows, columns] = shape;
    const base = this.#random.list(rows * columns, 0.02);
    const made = Array.from({ length: inputs }, (_, k): OpInput => {
      const dtype = FLOAT_DTYPES[(variant + k * (1 + (variant % 3))) % 4] as FloatDtype;
      const values = base.map((value) => value + (k > 0 ? this.#random.normal() * 3e-3 : 0));
      const way = WAYS[(variant + k) % WAYS.length] as (typeof WAYS)[number];
      return { model: `m${k}`, tensor: "w", position: k, ...this.#input(way, values, dtype, shape) };
    });
    const dtype = FLOAT_DTYPES[(variant * 3 + 1) % 4] as FloatDtype;
    const count = rows * columns;
    const numbers = params(inputs, count, variant);
    this.#ops.push({
      op: { kernel, params: numbers, count, rows, columns, dtype, seed: variant, tensor: `w${count}` },
      inputs: made,
    });
  }

  #input(way: (typeof WAYS)[number], values: Float64Array, dtype: FloatDtype, shape: Shape) {
    const [rows, columns] = shape;
    this.#turn++;
    if (way === "plain") return { view: this.#shelf.put(values, dtype, shape) };
    if (way === "gathered") return this.#gathered(values, dtype, shape);
    if (way === "replaced") {
      // A NaN that nothing is left of still is one of the input's.
      if (this.#turn % 2 === 0) values[0] = Number.NaN;
      const right = this.#shelf.factor(this.#random.list(columns, 0.02), "F32", [1, columns]);
      const patch = { ...added([0, 1, columns, 1], { left: undefined, right }), replaces: true };
      return { view: { ...this.#shelf.put(values, dtype, shape), patches: [patch] } };
    }
    const along = way === "product" ? undefined : way;
    // Sometimes not of all rows.
    const from = this.#turn % 3 === 0 && rows > 2 ? 1 : 0;
    const patch = this.#product([from, rows, columns, 1 + (this.#turn % 11)], along);
    return { view: { ...this.#shelf.put(values, dtype, shape), patches: [patch] } };
  }

  #product(at: [number, number, number, number], along: "rows" | "columns" | undefined): TensorPatch {
    const [from, to, columns, rank] = at;
    const { list } = this.#random;
    const length = along === "rows" ? to - from : columns;
    const lengths = list(length, 0.01).map((x) => Math.abs(x) + 0.05);
    return added(at, {
      left: this.#shelf.factor(list((to - from) * rank, 0.05), "BF16", [to - from, rank]),
      right: this.#shelf.factor(list(rank * columns, 0.05), "F32", [rank, columns], this.#turn % 2 === 0),
      magnitude: along && { along, factor: this.#shelf.factor(lengths, "F32", [1, length]) },
    });
  }

  /** Own rows backwards, then those of a small tensor, zeros, and means: of another dtype, or with a patch, or both. */
  #gathered(values: Float64Array, dtype: FloatDtype, [rows, columns]: Shape) {
    const turn = this.#gathers++;
    const other = turn % 3 === 0 ? dtype : (FLOAT_DTYPES[(this.#turn + 1) % 4] as FloatDtype);
    const small: TensorView = {
      ...this.#shelf.put(this.#random.list(3 * columns, 0.02), other, [3, columns]),
      ...(turn % 3 === 1 ? {} : { patches: [this.#product([1, 3, columns, 2], undefined)] }),
    };
    const own = this.#shelf.put(values, dtype, [rows, columns]);
    const means = turn % 2 === 1 ? [-2, -3] : [];
    const codes = [rows + 1, -1, ...means, rows, rows + 2];
    const gather: RowGather = {
      pieces: [own, small].map((view, i) => ({ view, model: `g${i}`, tensor: "w" })),
      rows: Int32Array.from({ length: rows }, (_, i) =>
        i % 5 === 4 ? (codes[((i - 4) / 5) % codes.length] as number) : rows - 1 - i,
      ),
      mixes: Int32Array.from([3, 0, rows + 2, rows - 1]),
    };
    return { view: own, gather };
  }

  /** Runs all ops at once, for their checksums. */
  async run(device: boolean): Promise<NativeResult[]> {
    this.#shelf.close();
    const addon = native();
    const { handle } = addon.openSource(this.#shelf.file);
    try {
      const started = this.#ops.map(({ op, inputs }) =>
        addon.checksum({ ...op, ...nativeInputs(inputs, () => handle), device }),
      );
      await Promise.allSettled(started);
      return await Promise.all(started);
    } finally {
      addon.close(handle);
    }
  }

  async onDevice(orders = "", use: Use = {}): Promise<NativeResult[]> {
    return await onDevices(orders, use, () => this.run(true));
  }

  names(): string[] {
    return this.#ops.map(({ op }) => `${op.kernel} [${op.params}] to ${op.dtype}, ${op.rows} x ${op.columns}`);
  }
}

const WAYS = ["product", "plain", "gathered", "rows", "replaced", "columns"] as const;

/** What is compared of each op, with its name. */
const told = (scene: Scene, results: readonly NativeResult[]) =>
  scene.names().map((name, i) => [name, results[i]?.checksum, results[i]?.nonFinite]);

const onDeviceAlone = (results: readonly NativeResult[]) => results.every(({ device }) => device?.startsWith("cuda:"));

const GROUPS = Array.from({ length: Math.ceil(KINDS.length / 5) }, (_, i) => KINDS.slice(5 * i, 5 * i + 5));

describe.each(GROUPS.map((group) => [[...new Set(group.map(({ kernel }) => kernel))].join(", "), group] as const))(
  "%s: inputs that the host computes",
  (_, group) => {
    test("give the CPU's bytes for all dtypes and odd sizes, whole and in slices", async () => {
      await inFolder(async (folder) => {
        const scene = new Scene(folder);
        const shapes: Shape[] = [
          [5, 3],
          [64, 1],
          [23, 1000],
          [67, 517],
        ];
        let variant = 0;
        for (const kind of group) {
          for (const shape of shapes) for (const inputs of few(kind)) scene.add(kind, inputs, shape, variant++);
          scene.add(kind, Math.min(3, Math.max(...kind.inputs)), [300, 1031], variant++);
        }
        const wanted = told(scene, await scene.run(false));
        const whole = await scene.onDevice();
        expect(told(scene, whole)).toEqual(wanted);
        expect(onDeviceAlone(whole)).toBe(true);
        const sliced = await scene.onDevice("slow=20", { memory: 9_000_000, pinned: 1 });
        expect(told(scene, sliced)).toEqual(wanted);
      });
    }, 30_000);
  },
);

test("gathered means and products of several tasks, in pieces that end anywhere", async () => {
  await inFolder(async (folder) => {
    const scene = new Scene(folder);
    for (const [i, kind] of [linear, ties, della].entries()) {
      for (let first = 0; first < WAYS.length; first += 2) scene.add(kind, 3, [9001, 67], first + i);
    }
    const wanted = told(scene, await scene.run(false));
    for (const use of [{}, { memory: 9_000_000, pinned: 1 }]) {
      const found = await scene.onDevice("", use);
      expect(told(scene, found)).toEqual(wanted);
      expect(onDeviceAlone(found)).toBe(true);
    }
  });
}, 30_000);

test("an op whose device fails, or runs out of memory, begins anew with its inputs as they are stored", async () => {
  await inFolder(async (folder) => {
    const scene = new Scene(folder);
    for (const [i, kind] of [ties, della, linear].entries()) scene.add(kind, 3, [300, 517], i);
    const wanted = told(scene, await scene.run(false));
    for (const orders of ["fail=40", "fail-late=3", "lose=50 devices=2", "no-memory=1"]) {
      const use = { strict: false, devices: orders.includes("devices") ? [0, 1] : [0] };
      const found = await scene.onDevice(orders, use);
      expect([orders, told(scene, found)]).toEqual([orders, wanted]);
      expect([orders, found.every(({ device, returned }) => device && !returned)]).toEqual([orders, false]);
    }
    // In half the memory, and again.
    const halved = await scene.onDevice("refuse-memory=1");
    expect([told(scene, halved), onDeviceAlone(halved)]).toEqual([wanted, true]);
    expect(counts().held).toBe(0);
  });
});
