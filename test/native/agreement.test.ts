import { describe, expect, test } from "bun:test";
import { methods } from "../../src/methods/index.ts";
import type { Lowered } from "../../src/methods/types.ts";
import type { FloatDtype } from "../../src/model/dtype.ts";
import { native } from "../../src/native.ts";
import { bound, disagreement } from "../oracle/agreement.ts";
import { decode, FLOAT_DTYPES } from "../oracle/dtype.ts";
import { FAMILIES, type Family, MIXTURES } from "./kernel-families.ts";
import { family, forOracle, runOps, sizesOf, stored, type WorkOp } from "./workbench.ts";

/**
 * Every kernel against the float64 oracle. The bound, per element (`bound` in test/oracle/agreement.ts): half an ulp of
 * the output dtype plus (inputs + 12) 2^-24 of the sum of the absolute terms, 2^-49 where the work is in float64.
 */
function makeOp(
  kind: Family,
  inputs: number,
  count: number,
  mixture: number,
  dtype: FloatDtype,
  variant: number,
): WorkOp {
  const dtypes = MIXTURES[mixture] as readonly FloatDtype[];
  const models = family(count, inputs - 1, 1000 * count + 10 * inputs + variant, [3e-3, 3e-2][variant % 2]);
  return {
    kernel: kind.kernel,
    params: kind.params(inputs, count, variant),
    inputs: models.map((values, k) => stored(values, dtypes[k % dtypes.length] as FloatDtype)),
    dtype,
    count,
    tensor: `model.layers.${count}.weight`,
    seed: variant,
  };
}

/** Runs all, and says where the first one breaks the bound. */
async function firstDisagreement(ops: readonly WorkOp[]): Promise<string | undefined> {
  const outcomes = await runOps(ops);
  for (const [i, op] of ops.entries()) {
    const oracleOp = forOracle(op);
    const wrong = disagreement(decode((outcomes[i] as { bytes: Uint8Array }).bytes, oracleOp.dtype), oracleOp);
    if (wrong === undefined) continue;
    const dtypes = op.inputs.map((input) => input.dtype).join(" ");
    return `${op.kernel} [${op.params}] of ${dtypes} to ${op.dtype}, ${op.count} elements: ${JSON.stringify(wrong)}`;
  }
  return undefined;
}

/** `copy` moves bytes: it cannot convert. */
function possible(kind: Family, mixture: number, dtype: FloatDtype): boolean {
  return kind.kernel !== "copy" || String(MIXTURES[mixture]) === dtype;
}

describe.each(FAMILIES.map((kind) => [kind.kernel, kind] as const))("%s", (_, kind) => {
  test("agrees for every dtype, number of inputs and small odd size", async () => {
    const ops: WorkOp[] = [];
    let variant = 0;
    for (const count of [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 33]) {
      for (const inputs of kind.inputs) {
        for (const mixture of MIXTURES.keys()) {
          for (const dtype of FLOAT_DTYPES) {
            if (possible(kind, mixture, dtype)) ops.push(makeOp(kind, inputs, count, mixture, dtype, variant++));
          }
        }
      }
    }
    expect(await firstDisagreement(ops)).toBeUndefined();
  });

  test("agrees around the sizes of chunks and of partial sums", async () => {
    const ops: WorkOp[] = [];
    let turn = 0;
    for (const count of [1023, 1024, 1025, 4099, 65535, 65536, 65537]) {
      // Of the large ones, two mixtures each.
      for (const mixture of count < 5000 ? MIXTURES.keys() : [count % 6, (count + 3) % 6]) {
        const dtype = FLOAT_DTYPES[(turn + mixture) % 4] as FloatDtype;
        const inputs = kind.inputs[turn % kind.inputs.length] as number;
        turn++;
        const few = count > 5000 ? Math.min(inputs, 3) : inputs;
        const copies = kind.kernel === "copy" ? MIXTURES[mixture % 4]?.[0] : undefined;
        ops.push(makeOp(kind, few, count, copies ? mixture % 4 : mixture, copies ?? dtype, turn));
      }
    }
    expect(await firstDisagreement(ops)).toBeUndefined();
  });
});

/** In mixture.test.ts: their inputs have not the output's size. */
const ELSEWHERE = ["assemble", "constant", "literal", "normal", "uniform"];

test("every kernel that the addon offers is held against the oracle", () => {
  expect([...FAMILIES.map(({ kernel }) => kernel), ...ELSEWHERE].toSorted()).toEqual(
    native().info().kernels.toSorted(),
  );
});

describe("every declared method has its kernels", () => {
  test.each(methods.map((method) => [method.name, method] as const))("%s", (_, method) => {
    const kernels = native().info().kernels;
    for (const withBase of method.base === "optional" ? [false, true] : [method.base === "required"]) {
      const count = Math.min(Math.max(method.models.min, 2), method.models.max) + Number(withBase);
      const values = (scope: "model" | "global") =>
        Object.fromEntries(method.parameters.filter((p) => p.scope === scope).map((p) => [p.name, p.default ?? 0.5]));
      const lowered = method.lower({
        inputs: Array.from({ length: count }, (__, position) => ({
          position,
          isBase: withBase && position === 0,
          model: `m${position}`,
          parameters: values("model"),
        })),
        parameters: values("global"),
        ...sizesOf([6, 5]),
      });
      expect(lowered).not.toHaveProperty("code");
      expect(kernels).toContain((lowered as Lowered).kernel);
    }
  });
});

test("the bound is tight: twice the rounding error of bfloat16 breaks it", async () => {
  const op = makeOp(FAMILIES[1] as Family, 3, 257, 3, "BF16", 1);
  const [outcome] = await runOps([op]);
  const values = decode((outcome as { bytes: Uint8Array }).bytes, "BF16");
  values[100] = (values[100] as number) * (1 + 2 ** -7);
  expect(disagreement(values, forOracle(op))?.index).toBe(100);
  expect(bound(forOracle(op), 0.02, 0.02)).toBeLessThan(0.02 * 2 ** -8);
});

test.each(FAMILIES.map((kind) => [kind.kernel, kind] as const))(
  "%s agrees on one element more than a block of output",
  async (_, kind) => {
    const narrow: Record<string, FloatDtype> = { linear: "BF16", ties: "F32", dare_linear: "F32" };
    const dtype = narrow[kind.kernel] ?? "F64";
    const mixture = FLOAT_DTYPES.indexOf(dtype);
    const count = (4 << 20) / { F64: 8, F32: 4, F16: 2, BF16: 2 }[dtype] + 1;
    expect(
      await firstDisagreement([makeOp(kind, kind.inputs.find((n) => n > 1) ?? 1, count, mixture, dtype, 3)]),
    ).toBeUndefined();
  },
);
