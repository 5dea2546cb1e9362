import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { SinterError } from "../../src/errors.ts";
import { runPlan } from "../../src/run/run.ts";
import { fakeAddon } from "./fake-addon.ts";
import { fixture, OPTIONS, SILENT } from "./plan-fixture.ts";

/** Model b holds a NaN in every tensor but t0. */
const damaged = () =>
  fakeAddon({ onMerge: (op) => ({ nonFinite: op.inputs.map((_, i) => i === 1 && op.tensor !== "t0") }) });

test("a NaN in an input is a warning that names the model, the first tensors and how many more", async () => {
  const { out, plan } = fixture({ tensors: 9 });
  const { warnings } = await runPlan(plan, out, OPTIONS, damaged(), SILENT);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatchObject({ code: "non-finite", model: "model-b" });
  expect(warnings[0]?.message).toContain("8 input tensors");
  expect(warnings[0]?.message).toContain("t1, t2, t3, t4, t5 and 3 more");
  expect(existsSync(out)).toBe(true);
});

test("with nan: error the first NaN stops the run, is named, and no model is left", async () => {
  const { out, plan } = fixture({ tensors: 9 });
  const addon = damaged();
  const error = await runPlan(plan, out, { ...OPTIONS, nan: "error", opsInFlight: 2 }, addon, SILENT).catch((e) => e);
  expect(error).toBeInstanceOf(SinterError);
  expect(error.problems).toHaveLength(1);
  expect(error.problems[0]).toMatchObject({ model: "model-b", tensor: "t1", path: plan.inputFiles[1]?.path });
  expect(addon.calls.filter((call) => call.startsWith("merge")).length).toBeLessThan(9);
  expect(readdirSync(out).filter((name) => !name.endsWith(".tmp"))).toEqual([]);
});

test("with nan: ignore nothing is said", async () => {
  const { out, plan } = fixture();
  const { warnings } = await runPlan(plan, out, { ...OPTIONS, nan: "ignore" }, damaged(), SILENT);
  expect(warnings).toEqual([]);
});

test("bounds of clipping are infinite by right: no warning, and no error with nan: error", async () => {
  const { out, plan } = fixture();
  const ops = plan.ops.map((op) => ({
    ...op,
    tensor: `${op.tensor}.input_max`,
    kernel: "copy",
    inputs: op.inputs.slice(0, 1),
  }));
  const addon = fakeAddon({ onMerge: () => ({ nonFinite: [true] }) });
  const { warnings } = await runPlan({ ...plan, ops }, out, { ...OPTIONS, nan: "error" }, addon, SILENT);
  expect(warnings).toEqual([]);
  const others = ops.map((op) => ({ ...op, tensor: op.tensor.replace("input_max", "weight") }));
  const refused = runPlan({ ...plan, ops: others }, `${out}-2`, { ...OPTIONS, nan: "error" }, addon, SILENT);
  expect(refused).rejects.toBeInstanceOf(SinterError);
  await refused.catch(() => {});
});
