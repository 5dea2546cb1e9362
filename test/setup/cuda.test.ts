import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CudaMachine, cudaBuild, WITHOUT } from "../../scripts/cuda.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "sinter-cuda-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const machine = (toolkit: string | undefined, device: boolean): CudaMachine => ({
  choice: join(root, "build", "cuda"),
  toolkit: () => toolkit,
  hasDevice: () => device,
});

describe("the library for GPUs", () => {
  test("is built unasked where toolkit and device are both there, for that device", () => {
    expect(cudaBuild([], machine("12.4.0", true))).toEqual({
      builds: true,
      defines: ["SINTER_CUDA=ON", "SINTER_CUDA_ARCHITECTURES=native"],
      asked: false,
    });
    for (const [toolkit, device] of [
      [undefined, true],
      ["12.4.0", false],
      ["12.3.107", true],
    ] as const) {
      expect(cudaBuild([], machine(toolkit, device))).toEqual(WITHOUT);
    }
  });

  test("is built when asked for, without a device too; later builds keep to it until told otherwise", () => {
    const here = machine("13.0.48", false);
    expect(cudaBuild(["--cuda"], here).defines).toEqual(["SINTER_CUDA=ON", "SINTER_CUDA_ARCHITECTURES="]);
    expect(cudaBuild([], here).builds).toBe(true);
    expect(cudaBuild(["--cuda=80;90-real"], here).defines).toContain("SINTER_CUDA_ARCHITECTURES=80;90-real");
    expect(cudaBuild([], here).defines).toContain("SINTER_CUDA_ARCHITECTURES=80;90-real");
    expect(cudaBuild(["--no-cuda"], here)).toEqual({ ...WITHOUT, asked: true });
    expect(cudaBuild([], machine("13.0.48", true))).toEqual({ ...WITHOUT, asked: true });
  });

  test("cannot be asked for without a toolkit that is new enough, nor for what is no device", () => {
    expect(() => cudaBuild(["--cuda"], machine(undefined, true))).toThrow("--cuda needs nvcc, of CUDA 12.4.0 or newer");
    expect(() => cudaBuild(["--cuda"], machine("11.8.89", true))).toThrow("this is 11.8.89");
    expect(() => cudaBuild(["--cuda=hopper"], machine("13.0.48", true))).toThrow("90, as 80;90, or as native");
  });
});
