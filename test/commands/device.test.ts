import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mergekitDevice } from "../../src/commands/compat/mergekit-request.ts";
import { deviceRequest } from "../../src/commands/device.ts";
import { findGpu } from "../../src/commands/gpu.ts";
import { native } from "../../src/native.ts";
import { MEASURED_KERNELS, type Rates } from "../../src/run/device-cost.ts";
import { keepRates, ratesToKeep } from "../../src/run/device-rates.ts";
import type { DeviceRequest } from "../../src/run/devices.ts";
import { HOST_LIBRARY, tell } from "../native/host-device.ts";
import { writeTinyModel } from "../support/tiny-qwen2.ts";
import { startIn } from "./start.ts";
import { linear, writeTinyModels } from "./tiny-models.ts";

let folder = "";
let library: string | undefined;

beforeAll(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "sinter-gpu-"));
  writeTinyModels(folder);
  library = process.env.SINTER_DEVICE_LIBRARY;
  process.env.SINTER_DEVICE_LIBRARY = HOST_LIBRARY;
  tell("devices=2");
});
afterAll(() => {
  tell("");
  if (library === undefined) delete process.env.SINTER_DEVICE_LIBRARY;
  else process.env.SINTER_DEVICE_LIBRARY = library;
  rmSync(folder, { recursive: true, force: true });
});

/** A command line where `devices` in host memory do what `orders` say. */
function start(line: string, orders = "", env: Record<string, string> = {}) {
  return startIn(folder, line, {
    ...env,
    SINTER_DEVICE_LIBRARY: HOST_LIBRARY,
    SINTER_HOST_DEVICE: orders,
    XDG_CACHE_HOME: folder,
  });
}

const request = (mode: "cuda" | "auto", device: number | "all", more: Partial<DeviceRequest> = {}) => ({
  mode,
  device,
  lowMemory: false,
  memory: undefined,
  ...more,
});

/** Keeps rates as measured here, of the devices that were told last. */
function keep(rates: Rates): void {
  const { devices } = native().devices(HOST_LIBRARY);
  keepRates(ratesToKeep(rates, devices, native().info().cpus), { XDG_CACHE_HOME: folder });
}

describe("options ask for", () => {
  const asked = { multiGpu: false, lowCpuMemory: false };

  test.each([
    [{}, request("auto", 0)],
    [{ device: "cpu" }, undefined],
    [{ device: "cuda" }, request("cuda", 0)],
    [{ device: "cuda:1" }, request("cuda", 1)],
    [{ device: "auto", multiGpu: true }, request("auto", "all")],
    [{ multiGpu: true }, request("cuda", "all")],
    [{ cuda: true }, request("cuda", 0)],
    [{ cuda: true, device: "cuda:1" }, request("cuda", 1)],
    [{ cuda: true, multiGpu: true }, request("cuda", "all")],
    [{ device: "cuda", memoryGpu: 16e6, lowCpuMemory: true }, request("cuda", 0, { memory: 16e6, lowMemory: true })],
    [{ device: "cpu", memoryGpu: 5 }, undefined],
  ])("%j", (values, wanted) => expect(deviceRequest({ ...asked, ...values })).toEqual(wanted as DeviceRequest));

  test.each([
    [{ device: "cuda:1", multiGpu: true }, "--multi-gpu takes all GPUs"],
    [{ device: "cpu", multiGpu: true }, "--multi-gpu takes all GPUs"],
    [{ cuda: true, device: "cpu" }, "--cuda asks for a GPU, and --device cpu does not"],
    [{ cuda: true, device: "auto" }, "--cuda asks for a GPU"],
    [{ device: "gpu" }, "is no device"],
    [{ device: "cuda:x" }, "is no device"],
    [{ device: "xpu" }, "Sinter does not compute on xpu"],
    [{ device: "cuda:2" }, "there is no device cuda:2"],
    [{ device: "cuda:1000" }, "there is no device cuda:1000\n  → there is cuda:0, cuda:1"],
    [
      { device: "cuda", memoryGpu: 1000 },
      "--memory-gpu 1.00 kB is too little for a GPU to be of use\n  → it takes 16.0 MB",
    ],
    [{ memoryGpu: 15_999_999 }, "is too little"],
  ])("what is no device, or none that there is: %j", (values, message) => {
    expect(() => deviceRequest({ ...asked, ...values })).toThrow(message);
  });
});

describe("mergekit's options ask for", () => {
  const none = { cuda: false, gpuRich: false, multiGpu: false, lowCpuMemory: false, device: undefined };

  test.each([
    [{}, undefined],
    [{ device: "" }, undefined],
    [{ cuda: true }, request("cuda", 0)],
    [{ cuda: true, device: "cpu" }, undefined],
    [{ device: "auto" }, request("auto", 0)],
    [{ device: "cuda:1" }, request("cuda", 1)],
    [{ device: "cuda:1", multiGpu: true }, request("cuda", "all")],
    [{ multiGpu: true }, request("cuda", "all")],
    // Little host memory for copies would be slow: it has to be asked for.
    [{ gpuRich: true }, request("cuda", "all")],
    [{ gpuRich: true, lowCpuMemory: true }, request("cuda", "all", { lowMemory: true })],
    [{ gpuRich: true, device: "cpu" }, undefined],
  ])("%j", (values, wanted) => expect(mergekitDevice({ ...none, ...values })).toEqual(wanted as DeviceRequest));
});

test("with GPUDirect Storage, a merge says how much came straight from the disk", () => {
  const vocab = 8000;
  for (const [i, name] of ["large-a", "large-b"].entries()) writeTinyModel(join(folder, name), { vocab, seed: i + 1 });
  writeFileSync(join(folder, "large.yml"), linear("./large-b").replace("./a", "./large-a"));
  const direct = { SINTER_CUFILE_LIBRARY: HOST_LIBRARY };
  const line = "sinter merge large.yml large --device cuda --no-sync --json --force";
  const read = (options: string) => {
    const { code, out, err } = start(`${line} ${options}`, "", direct);
    expect([code, err]).toEqual([0, ""]);
    return JSON.parse(out).bytes_read_directly;
  };
  expect(read("--direct-storage never")).toBe(0);
  // The embeddings; what is smaller is not worth it. Where a file system refuses, nothing is.
  expect([0, 2 * vocab * 16 * 2]).toContain(read("--direct-storage always"));
  expect(start(`${line} --direct-storage sometimes`).err).toContain("auto");
});

describe("a merge on a GPU", () => {
  const weights = (name: string) => readFileSync(join(folder, name, "model.safetensors"));
  const manifest = (name: string) => JSON.parse(readFileSync(join(folder, name, "sinter_manifest.json"), "utf8"));

  test("writes the CPU's bytes, and the manifest says what computed", () => {
    expect(start("sinter merge linear.yml cpu --device cpu").code).toBe(0);
    for (const [line, out] of [
      ["sinter merge linear.yml one --device cuda", "one"],
      ["sinter merge linear.yml two --multi-gpu --low-cpu-memory --memory-gpu 50M", "two"],
      ["mergekit-yaml linear.yml three --gpu-rich", "three"],
    ] as const) {
      const { code, out: said, err } = start(line, "devices=2");
      expect([code, err]).toEqual([0, ""]);
      if (out !== "three") expect(said).toContain(" on cuda:0 (host memory 0)");
      expect(weights(out).equals(weights("cpu"))).toBe(true);
      expect(manifest(out).plan).toBe(manifest("cpu").plan);
      expect(Object.keys(manifest(out).computed_on)[0]).toBe("cuda:0 (host memory 0)");
    }
    expect(manifest("cpu").computed_on).toBeUndefined();
    expect(Object.keys(manifest("two").computed_on)).toContain("cuda:1 (host memory 1)");
    expect(start("sinter verify one").code).toBe(0);
  });

  test("that fails is an error without a folder, and a warning where the CPU may go on", () => {
    const { code, err } = start("sinter merge linear.yml failed --device cuda", "fail=40");
    expect(code).toBe(1);
    expect(err).toContain("error: the GPU failed: cuda:0 (host memory 0): failed: told to fail (tensor ");
    expect(existsSync(join(folder, "failed", "model.safetensors"))).toBe(false);
    // Measured as it never is: so that auto takes the device for tensors of a few bytes.
    const every = (rate: number) => Object.fromEntries(Object.keys(MEASURED_KERNELS).map((kernel) => [kernel, rate]));
    const fast = { upload: 1e12, download: 1e12, copy: 1, kernels: every(1e12), overhead: 1e-12 };
    tell("");
    keep({ read: 1e12, cpu: every(1), devices: { 0: fast } });
    const warned = start("sinter merge linear.yml warned", "fail=40");
    expect(warned.code).toBe(0);
    expect(warned.err).toMatch(
      /^warning: cuda:0 \(host memory 0\): failed: told to fail: 1 tensor was computed elsewhere/m,
    );
    expect(weights("warned").equals(weights("cpu"))).toBe(true);
    expect(manifest("warned").computed_on.cpu).toBe(1);
  });

  test("goes by what doctor measured, which says what it found of each GPU", () => {
    const every = (rate: number) => Object.fromEntries(Object.keys(MEASURED_KERNELS).map((kernel) => [kernel, rate]));
    const device = (upload: number) => ({ upload, download: 2e9, copy: 1e9, kernels: every(8e9), overhead: 1e-5 });
    tell("devices=2");
    const rates = { read: 5e9, cpu: every(4e9), devices: { 0: device(3e9), 1: device(6e9) } };
    keep(rates);
    const { out } = start("sinter doctor", "devices=2");
    expect(out).toMatch(/^Measured +CPU: page cache 5.00 GB\/s, linear 4.00 GB\/s, /m);
    expect(out).toMatch(/^ +cuda:0: to it 3.00 GB\/s, back 2.00 GB\/s, host copies 1.00 GB\/s, linear 8.00 GB\/s, /m);
    expect(out).toMatch(/^ +cuda:1: to it 6.00 GB\/s, /m);
    expect(JSON.parse(start("sinter doctor --json", "devices=2").out).rates).toEqual(rates);
    // Without the second one, the first one's still count.
    expect(JSON.parse(start("sinter doctor --json").out).rates.devices).toEqual({ 0: rates.devices[0] });
    expect(start("sinter doctor", "memory=5000000000").out).not.toContain("Measured");
  });

  test("reads through cuFile where doctor says so", () => {
    const doctor = start("sinter doctor", "", { SINTER_CUFILE_LIBRARY: HOST_LIBRARY });
    expect(doctor.out).toMatch(/^cuda:0 .*, GPUDirect Storage: .*libsinter_host_device\.so$/m);
    expect(start("sinter doctor", "", { SINTER_CUFILE_LIBRARY: "/nowhere.so" }).out).toContain(
      "GPUDirect Storage: not used: /nowhere.so",
    );
  });

  test("that does not fit there is the CPU's, and a warning says how many tensors", () => {
    const { code, err } = start("sinter merge linear.yml unfit --device cuda", "memory=1000");
    expect(code).toBe(0);
    expect(err).toMatch(
      /^warning: \d+ tensors were computed by the CPU, with the same bytes: too large for the memory/m,
    );
    expect(weights("unfit").equals(weights("cpu"))).toBe(true);
    expect(manifest("unfit").computed_on).toBeUndefined();
    const refused = start("sinter merge linear.yml refused --device cuda --memory-gpu 1K");
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("--memory-gpu 1.00 kB is too little for a GPU to be of use");
    expect(existsSync(join(folder, "refused"))).toBe(false);
  });

  test("is not measured where there is none: what to do depends on what is missing", () => {
    const hint = (orders: string) => {
      const { code, err } = start("sinter doctor --measure", orders);
      expect(code).toBe(1);
      return err.slice(err.indexOf("→"));
    };
    expect(hint("version=9.9")).toStartWith("→ build or install the library and Sinter from one version");
    const gpu = findGpu().device;
    expect(hint("absent=none")).toStartWith(
      gpu ? "→ sinter doctor says" : "→ without a GPU there is nothing to choose",
    );
  });

  test("is planned with its reason, and doctor names driver and devices", () => {
    const { out } = start("sinter plan linear.yml --device cuda:1", "devices=2");
    expect(out).toMatch(/^device {3}cuda:1 \(host memory 1\): asked for {2}\(\d+ tensors: linear\)$/m);
    expect(JSON.parse(start("sinter plan linear.yml --json --device cpu").out).devices).toEqual(["CPU: asked for"]);
    const doctor = start("sinter doctor", "devices=2").out;
    expect(doctor).toMatch(
      /^CUDA .*libsinter_host_device\.so, built with CUDA 12\.4, needs driver 530\.30\.02 or newer$/m,
    );
    expect(doctor).toMatch(/^cuda:1 .*host memory 1, .* free, compute capability 9\.0, driver for CUDA 12\.4$/m);
    // Without a device, too, the driver that it takes is named.
    expect(start("sinter doctor", "absent=no-driver").out).toMatch(
      /^CUDA +not used: no-driver\n +.*libsinter_host_device\.so, built with CUDA 12\.4, needs driver 530\.30\.02 or newer$/m,
    );
    expect(start("sinter doctor", "version=9.9").out).toMatch(
      /^CUDA +not used: .* 9\.9.*\n +build or install the library/m,
    );
    const without = { SINTER_DEVICE_LIBRARY: "/nowhere.so" };
    expect(startIn(folder, "sinter doctor", without).out).toMatch(
      /^CUDA +not used: there is no library .*\n +with an NVIDIA GPU: install a release that has it, or build it with/m,
    );
  });
});
