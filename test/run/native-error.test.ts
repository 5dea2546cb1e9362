import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nativeProblem } from "../../src/run/native-error.ts";
import { nativeError } from "./fake-addon.ts";
import { fixturePlan } from "./plan-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "sinter-plan-"));
afterAll(() => rmSync(root, { recursive: true }));
const plan = fixturePlan(root);
const op = plan.ops[0];

test("an input that fails is named by the input that native code blames", () => {
  const problem = nativeProblem(nativeError("SOURCE_FAILED", "SIGBUS", 1), { op, path: "out.tmp" });
  expect(problem).toMatchObject({ model: "model-b", tensor: "t0", path: plan.inputFiles[1]?.path });
  expect(problem.message).not.toContain("SIGBUS");
  expect(problem.hint).toContain("leave the input models as they are");
});

test("an input that fails without blame is named by the output tensor, never by the output file", () => {
  const problem = nativeProblem(nativeError("SOURCE_FAILED", "SIGBUS"), { op, path: "out.tmp" });
  expect(problem.tensor).toBe("t0");
  expect(problem.path).toBeUndefined();
});

test("an input that cannot be opened keeps the system's reason", () => {
  const path = plan.inputFiles[0]?.path;
  const problem = nativeProblem(nativeError("SOURCE_OPEN", "permission denied"), { op, path });
  expect(problem).toMatchObject({ code: "source-open", model: "model-a", path });
  expect(problem.message).toContain("permission denied");
});

test.each(["SINK_EXISTS", "SINK_OPEN", "NO_SPACE", "SINK_WRITE"] as const)("%s names the output file", (code) => {
  expect(nativeProblem(nativeError(code, "because"), { op, path: "out.tmp" }).path).toBe("out.tmp");
});

test("what native code should never say is a fault to report", () => {
  expect(nativeProblem(nativeError("BAD_ARGUMENT", "no kernel x"), { op }).hint).toContain("report it");
  expect(nativeProblem("a string", { op }).message).toContain("a string");
});
