import { afterAll, describe, expect, test } from "bun:test";
import { hiddenStates } from "../../src/forward/hidden-states.ts";
import { perplexity } from "../../src/forward/perplexity.ts";
import { HOST_LIBRARY, tell } from "../native/host-device.ts";
import { inFolder } from "../native/workbench.ts";
import { openDecoder, RECORDED_NAMES, recorded, writeRecorded } from "./tiny-decoder.ts";

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
