import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Report } from "../../src/errors.ts";
import type { MergePlan } from "../../src/plan/types.ts";
import { inspectOutput } from "../../src/run/output.ts";
import { fixture } from "./plan-fixture.ts";

function problems(plan: MergePlan, out: string, force = false) {
  const report = new Report();
  inspectOutput(plan, out, force, report);
  return report.errors;
}

function codes(plan: MergePlan, out: string, force = false): string[] {
  return problems(plan, out, force).map(({ code }) => code);
}

test("a folder that is not there yet can take the output, and is not made by looking", () => {
  const { root, plan, out } = fixture();
  expect(problems(plan, join(out, "deep"))).toEqual([]);
  expect(readdirSync(root).sort()).toEqual(["a", "b"]);
});

test("an output that is the folder of an input is refused, with force too", () => {
  const { root, plan } = fixture();
  expect(codes(plan, join(root, "a"), true)).toEqual(["output-is-input"]);
});

test("an output that lies inside an input is refused", () => {
  const { root, plan } = fixture();
  const [problem] = problems(plan, join(root, "b", "merged", "here"));
  expect(problem?.message).toContain(`lies inside an input model at ${join(root, "b")}`);
});

test("an output that contains the inputs is refused, and each input is named", () => {
  const { root, plan } = fixture();
  const found = problems(plan, root);
  expect(found.map(({ code }) => code)).toEqual(["output-is-input", "output-is-input"]);
  expect(found[1]?.message).toContain(`contains an input model at ${join(root, "b")}`);
});

test("a folder whose name starts like an input's is another folder", () => {
  const { root, plan } = fixture();
  expect(problems(plan, join(root, "a-merged"))).toEqual([]);
});

test("links to an input are seen through, in the output's path and in the input's", () => {
  const { root, plan } = fixture();
  symlinkSync(join(root, "a"), join(root, "link"));
  expect(codes(plan, join(root, "link"), true)).toEqual(["output-is-input"]);
  expect(codes(plan, join(root, "link", "inside"))).toEqual(["output-is-input"]);
  const path = join(root, "link", "weights-1.bin");
  expect(codes({ ...plan, inputFiles: [{ path, size: 64 }], sideFiles: [] }, join(root, "a"))).toEqual([
    "output-is-input",
  ]);
});

test("the folder that a linked weight file really lies in is an input, too", () => {
  const { root, plan, out } = fixture();
  mkdirSync(join(root, "blobs"));
  mkdirSync(join(root, "snapshot"));
  writeFileSync(join(root, "blobs", "abc"), "");
  symlinkSync(join(root, "blobs", "abc"), join(root, "snapshot", "model.safetensors"));
  const linked = { ...plan, inputFiles: [{ path: join(root, "snapshot", "model.safetensors"), size: 0 }] };
  expect(codes(linked, join(root, "blobs"))).toEqual(["output-is-input"]);
  expect(codes(linked, join(root, "snapshot"), true)).toEqual(["output-is-input"]);
  expect(codes(linked, out)).toEqual([]);
});

test("a link that leads nowhere is refused", () => {
  const { root, plan } = fixture();
  symlinkSync(join(root, "nowhere"), join(root, "link"));
  expect(codes(plan, join(root, "link"))).toEqual(["output-link"]);
});

test("a file where the folder or a part of its path should be is refused", () => {
  const { root, plan } = fixture();
  writeFileSync(join(root, "file"), "");
  expect(codes(plan, join(root, "file"))).toEqual(["output-not-folder"]);
  expect(codes(plan, join(root, "file", "out"))).toEqual(["output-not-folder"]);
});

test.each([
  "model.safetensors",
  "adapter.safetensors",
  "pytorch_model-00001-of-00002.bin",
  "config.json",
  "tokenizer.json",
  "sinter_manifest.json",
  "model.safetensors.index.json",
])("a folder that holds %s needs force", (name) => {
  const { plan, out } = fixture();
  mkdirSync(out);
  writeFileSync(join(out, name), "");
  const [problem] = problems(plan, out);
  expect(problem?.code).toBe("output-holds-model");
  expect(problem?.message).toContain(name);
  expect(problem?.hint).toContain("--force");
  expect(problems(plan, out, true)).toEqual([]);
});

test("a folder that holds other files can take the output", () => {
  const { plan, out } = fixture();
  mkdirSync(join(out, ".git"), { recursive: true });
  writeFileSync(join(out, "notes.txt"), "");
  expect(problems(plan, out)).toEqual([]);
});

test("a folder of the name of an output file is refused, with force too", () => {
  const { plan, out } = fixture();
  mkdirSync(join(out, "config.json"), { recursive: true });
  mkdirSync(join(out, "tokenizer.json.tmp"));
  expect(codes(plan, out, true)).toEqual(["output-blocked", "output-blocked"]);
});

test("a disk that is too small is refused with both sizes", () => {
  const { plan, out } = fixture();
  const [shard, ...rest] = plan.shards;
  const huge = { ...plan, shards: shard ? [{ ...shard, size: 4.2e18 }, ...rest] : [] };
  const [problem] = problems(huge, out);
  expect(problem?.code).toBe("disk-too-small");
  expect(problem?.message).toMatch(/takes 4200 PB, but its disk has [\d.]+ [kMGTP]?B free/);
});

test("everything that is wrong is reported at once", () => {
  const { root, plan } = fixture();
  const [shard] = plan.shards;
  const huge = { ...plan, shards: shard ? [{ ...shard, size: 4.2e18 }] : [] };
  writeFileSync(join(root, "a", "config.json"), "");
  expect(codes(huge, join(root, "a"))).toEqual(["output-is-input", "output-holds-model", "disk-too-small"]);
});
