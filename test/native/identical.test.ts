import { afterAll, describe, expect, test } from "bun:test";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { type CpuTarget, native } from "../../src/native.ts";
import { family, numbers, runOps, sizesOf, stored, type WorkOp } from "./workbench.ts";

afterAll(() => native().configure({ threads: 0, target: "auto" }));

/** Every kernel, dtype and loop, with sizes at which the last block is partial. */
function everything(): WorkOp[] {
  const ops: WorkOp[] = [];
  const dtypes: readonly FloatDtype[] = ["BF16", "F32", "F16", "F64"];
  for (const [d, dtype] of dtypes.entries()) {
    for (const [s, count] of [5, 1025, 65_537, 600_011].entries()) {
      if (count > 500_000 && dtype === "F64") continue;
      const models = (inputs: number) =>
        family(count, inputs - 1, 100 * s + d).map((values) => stored(values, dtypes[(d + s) % 3] as FloatDtype));
      const shared = { dtype, count, tensor: `t${count}`, seed: d };
      const halves = [0.7, Math.trunc(count / 2), 0.4, Math.trunc(count / 3)];
      ops.push(
        { ...shared, kernel: "linear", params: [0.3, 0.3, 0.4], inputs: models(3) },
        { ...shared, kernel: "slerp", params: [0.3], inputs: models(2) },
        { ...shared, kernel: "task_arithmetic", params: [0.9, 1, 0, 0.7, -1, 0.4, -1], inputs: models(3) },
        { ...shared, kernel: "ties", params: [0.9, 1, 1, ...halves], inputs: models(3) },
        { ...shared, kernel: "dare_ties", params: [0.9, 1, 1, 0.7, 0.5, 0.4, 0.9], inputs: models(3) },
      );
    }
  }
  ops.push(...ofVectors(), ...strange());
  return ops;
}

/** The kernels that look at rows, columns, ranks or variances. */
function ofVectors(): WorkOp[] {
  const ops: WorkOp[] = [];
  const dtypes: readonly FloatDtype[] = ["BF16", "F32", "F64"];
  for (const [s, shape] of [[5, 1], [25, 41], [65_537], [601, 1000]].entries()) {
    const sizes = sizesOf(shape);
    const models = family(sizes.count, 3, 500 + s);
    const some = (from: number, to: number) => models.slice(from, to);
    for (const [d, dtype] of dtypes.entries()) {
      if (s === 3 && dtype !== "F64") continue;
      const op = (kernel: string, params: number[], lists: readonly Float64Array[]): WorkOp => {
        const inputs = lists.map((list) => stored(list, dtype));
        return { kernel, params, inputs, dtype, ...sizes, tensor: `v${s}`, seed: d };
      };
      const parts = [0.05, 0.5].map((share) => Math.trunc(share * sizes.count));
      for (const grouping of [0, 1, 2]) {
        ops.push(op("nuslerp", [0.3, grouping], some(0, 2)), op("nuslerp_base", [0.3, grouping], some(0, 3)));
        if (grouping < 2) ops.push(op("model_stock", [grouping], some(0, 4)));
      }
      ops.push(
        op("multislerp", [1, 1e-8, 1, 2, 3], some(1, 4)),
        op("multislerp_base", [0, 1e-8, 0.5, 0.2, 0.3], some(0, 4)),
        op("karcher", [10, 1e-5], some(0, 4)),
        op("breadcrumbs_ties", [1, 1, 1, 0.7, ...parts, 0.4, 0, -1], some(0, 3)),
        op("della", [1, 1, 1, 0.7, 0.5, 0.4, 0.4, 0.8, 0.1], some(0, 3)),
        op("sce", [0.3], some(0, 4)),
        op("ram", [1e-4], some(0, 4)),
        op("ramplus_tl", [2e-3, 0.1, 0.2], some(0, 4)),
        op("nearswap", [1e-3], some(0, 2)),
        op("arcee_fusion", [], some(0, 2)),
      );
    }
  }
  return ops;
}

/** Values where instruction sets could differ: subnormal numbers, NaNs, infinities, cancellation, colinear vectors. */
function strange(): WorkOp[] {
  const count = 4099;
  const { uniform } = numbers(8);
  const wild = () => Float64Array.from({ length: count }, () => (uniform() - 0.5) * 2 ** (uniform() * 250 - 140));
  const tame = numbers(2).list(count);
  const nan = tame.with(3, Number.NaN).with(9, Number.POSITIVE_INFINITY).with(11, Number.NEGATIVE_INFINITY);
  const ops: WorkOp[] = [];
  for (const dtype of ["F32", "F16", "BF16"] as const) {
    const [a, b, n, t] = [wild(), wild(), nan, tame].map((values) => stored(values, "F32")) as [
      Stored,
      Stored,
      Stored,
      Stored,
    ];
    ops.push(
      { kernel: "linear", params: [1, -1], inputs: [a, b], dtype, count },
      { kernel: "linear", params: [0.5, 0.5], inputs: [n, t], dtype, count },
      { kernel: "slerp", params: [0.3], inputs: [t, t], dtype, count },
      { kernel: "slerp", params: [0.3], inputs: [t, n], dtype, count },
      { kernel: "ties", params: [1, 1, 1, 1, 2000, 0.5, 100], inputs: [t, a, n], dtype, count },
      { kernel: "dare_linear", params: [1, 1, 1, 1, 0.5, 0.5, 0.1], inputs: [t, a, n], dtype, count },
      { kernel: "nuslerp", params: [0.3, 0], inputs: [t, n], dtype, count },
      { kernel: "multislerp", params: [1, 1e-8, 1, 1], inputs: [a, t], dtype, count },
      { kernel: "karcher", params: [10, 1e-5], inputs: [t, a, t], dtype, count },
      { kernel: "model_stock", params: [1], inputs: [t, a, n], dtype, count },
      { kernel: "della", params: [1, 1, 1, 1, 0.5, 0.4, 0.5, 0.3, 0.1], inputs: [t, a, n], dtype, count },
      { kernel: "sce", params: [0.5], inputs: [t, a, n], dtype, count },
      { kernel: "ramplus_tl", params: [0, 0.1, 0.2], inputs: [t, a, n], dtype, count },
      { kernel: "arcee_fusion", params: [], inputs: [t, n], dtype, count },
      { kernel: "arcee_fusion", params: [], inputs: [t, a], dtype, count },
    );
  }
  return ops;
}

type Stored = WorkOp["inputs"][number];

const ops = everything();

async function runWith(threads: number, target: CpuTarget | "auto") {
  native().configure({ threads, target });
  return await runOps(ops);
}

const reference = await runWith(1, native().info().targets[0] as CpuTarget);

function expectIdentical(outcomes: Awaited<ReturnType<typeof runOps>>): void {
  for (const [i, op] of ops.entries()) {
    const [ours, first] = [outcomes[i], reference[i]];
    const same = Buffer.compare(ours?.bytes as Uint8Array, first?.bytes as Uint8Array) === 0;
    expect([i, op.kernel, op.dtype, op.count, same]).toEqual([i, op.kernel, op.dtype, op.count, true]);
    expect(ours?.result).toEqual(first?.result as NonNullable<typeof first>["result"]);
  }
}

describe("the same bytes, checksums and findings", () => {
  test.each([1, 2, 3, 8])("with %p threads", async (threads) => {
    const outcomes = await runWith(threads, "auto");
    expect(native().info().threads).toBe(threads);
    expectIdentical(outcomes);
  });

  test.each(native().info().targets)("with the instructions of %s", async (target) => {
    const outcomes = await runWith(2, target);
    expect(native().info().target).toBe(target);
    expectIdentical(outcomes);
  });

  test("when they are computed a second time", async () => {
    expectIdentical(await runWith(2, "auto"));
  });
});
