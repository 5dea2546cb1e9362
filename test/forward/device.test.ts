import { dlopen } from "bun:ffi";
import { afterAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { loadAddon } from "../../src/commands/execute-merge.ts";
import { hiddenStates } from "../../src/forward/hidden-states.ts";
import { perplexity } from "../../src/forward/perplexity.ts";
import { forwardDevice } from "../../src/run/devices.ts";
import { CAN_BUILD } from "../native/fake-cusolver/build.ts";
import { counts, HOST_LIBRARY, tell } from "../native/host-device.ts";
import { inFolder } from "../native/workbench.ts";
import { PATIENCE } from "../support/patience.ts";
import { openDecoder, RECORDED_NAMES, type Recorded, recorded, writeRecorded } from "./tiny-decoder.ts";

/** Both a device's library and a cuBLAS, in host memory. */
const device = { library: HOST_LIBRARY, cublas: HOST_LIBRARY, index: 0, memory: 200_000_000, strict: true };

afterAll(() => tell(""));

function largestDifference(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  let [most, size] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    most = Math.max(most, Math.abs((found[i] as number) - (wanted[i] as number)));
    size = Math.max(size, Math.abs(wanted[i] as number));
  }
  return most / size;
}

describe.each(RECORDED_NAMES)("%s", (name) => {
  const from = recorded(name);
  const ids = from.ids.map((one) => Int32Array.from(one));

  test("on a device the states are those of Transformers", async () => {
    await inFolder(async (folder) => {
      writeRecorded(folder, from);
      tell("slow=50");
      const states = await hiddenStates(openDecoder(folder), ids, "last", { device });
      expect(largestDifference(states.values, from.last)).toBeLessThan(2e-5);
    });
  });

  test("a device that fails anywhere leaves the pass to the CPU, or ends it with an error", async () => {
    await inFolder(async (folder) => {
      writeRecorded(folder, from);
      tell("");
      const wanted = await hiddenStates(openDecoder(folder), ids, "average");
      for (const orders of ["refuse-memory=2", "no-pinned=1", "fail=1", "fail=9", "lose=20"]) {
        tell(orders);
        const reasons: string[] = [];
        const onDeviceFailure = (reason: string) => reasons.push(reason);
        const options = { device: { ...device, strict: false }, onDeviceFailure };
        const states = await hiddenStates(openDecoder(folder), ids, "average", options);
        expect(reasons).toHaveLength(1);
        expect(states.values).toEqual(wanted.values);
        tell(orders);
        const strict = hiddenStates(openDecoder(folder), ids, "average", { device });
        expect(strict).rejects.toMatchObject({ problems: [{ code: "device-failed" }] });
        await strict.catch(() => undefined);
      }
    });
  });
});

test("without a cuBLAS the reason says so", async () => {
  const from = recorded(RECORDED_NAMES[0] as string);
  await inFolder(async (folder) => {
    writeRecorded(folder, from);
    tell("");
    const ids = Int32Array.from(from.ids.find((one) => one.length > 1) as number[]);
    const missing = { ...device, cublas: "libno-such-cublas.so" };
    const run = perplexity(openDecoder(folder), ids, { window: ids.length, stride: ids.length }, { device: missing });
    expect(run).rejects.toThrow(/cuBLAS is not there: libno-such-cublas.so/);
    await run.catch(() => undefined);
  });
});

/** The tiny llama with a vocabulary and a width of its MLP that make activations large. */
function wide(): Recorded {
  const tiny = recorded("llama");
  const sizes = new Map([
    [tiny.config.vocab_size, 5000],
    [tiny.config.intermediate_size, 1200],
  ]);
  const shapes = Object.entries(tiny.shapes).map(([name, shape]) => [
    name,
    shape.map((size) => sizes.get(size) ?? size),
  ]);
  const config = { ...tiny.config, vocab_size: 5000, intermediate_size: 1200, max_position_embeddings: 2048 };
  return { ...tiny, config, shapes: Object.fromEntries(shapes) };
}

/** What cuBLAS is taken to need for itself, and the least that a device may be asked for. */
const LIBRARY = 32 << 20;
const LEAST = 64 << 20;
/** Two buffers of 64 KiB. */
const LEAST_PINNED = 128 << 10;
/** Memory of the host's device is pinned in whole pages. */
const PAGES = 2 * 4096;

test(
  "neither the device's memory nor the pinned memory is taken beyond what is allowed",
  async () => {
    await inFolder(async (folder) => {
      writeRecorded(folder, wide());
      const ids = Int32Array.from({ length: 2048 }, (_, i) => (i * 2654435761) % 5000);
      const windows = { window: ids.length, stride: ids.length };
      const wanted = await perplexity(openDecoder(folder), ids, windows);
      // With the least of both activations go there and back in many pieces, and not all tokens at a time.
      for (const [memory, pinned] of [
        [LEAST, 1],
        [200_000_000, 2_000_000],
      ] as const) {
        tell(pinned === 1 ? "" : "slow=20");
        const found = await perplexity(openDecoder(folder), ids, windows, { device: { ...device, memory, pinned } });
        expect(found.loss).toBeCloseTo(wanted.loss, 4);
        expect(counts().memory).toBeLessThanOrEqual(memory - LIBRARY);
        expect(counts().pinned).toBeLessThanOrEqual(Math.max(pinned, LEAST_PINNED) + PAGES);
      }
    });
  },
  PATIENCE,
);

test("less of a device's memory than a pass takes is refused", async () => {
  const from = recorded("llama");
  await inFolder(async (folder) => {
    writeRecorded(folder, from);
    tell("");
    const ids = from.ids.map((one) => Int32Array.from(one));
    const run = hiddenStates(openDecoder(folder), ids, "last", { device: { ...device, memory: LEAST - 1 } });
    expect(run).rejects.toThrow(/forward passes take 64 MiB of a device's memory at least, and may take 63/);
    await run.catch(() => undefined);
    expect(counts().memory).toBe(0);
  });
});

test("little host memory for copies is the same for forward passes as for merges", () => {
  const request = { mode: "cuda", device: 0 } as const;
  const addon = loadAddon({ threads: 0, target: "auto" });
  expect(forwardDevice({ ...request, lowMemory: true }, addon)?.pinned).toBe(16 << 20);
  expect(forwardDevice({ ...request, lowMemory: false }, addon)?.pinned).toBeUndefined();
});

test.skipIf(!CAN_BUILD)("a cuBLAS that is too new for the driver leaves the pass to an older one", async () => {
  const from = recorded("llama");
  await inFolder(async (folder) => {
    // Once they are open, the loader knows them by their names.
    const build = async (name: string, source: string, ...args: string[]) => {
      writeFileSync(join(folder, "source.cc"), source);
      const flags = ["-shared", "-fPIC", `-Wl,-soname,${name}`, "-Wl,--no-as-needed", "-o", name, "source.cc"];
      const child = Bun.spawn(["c++", ...flags, ...args], { cwd: folder, stderr: "inherit" });
      expect(await child.exited).toBe(0);
      dlopen(join(folder, name), { cublasCreate_v2: { returns: "i32" } });
    };
    const names = ["cublasCreate_v2", "cublasDestroy_v2", "cublasSetStream_v2", "cublasSgemm_v2"];
    await build("libcublas.so.13", names.map((name) => `extern "C" int ${name}() { return 1; }`).join("\n"));
    await build("libcublas.so.12", "", `-L${dirname(HOST_LIBRARY)}`, `-l:${basename(HOST_LIBRARY)}`);
    writeRecorded(folder, from);
    tell("");
    const ids = from.ids.map((one) => Int32Array.from(one));
    const states = await hiddenStates(openDecoder(folder), ids, "last", { device: { ...device, cublas: undefined } });
    expect(largestDifference(states.values, from.last)).toBeLessThan(2e-5);
  });
});
