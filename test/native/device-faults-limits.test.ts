import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { outputOf } from "../support/output-of.ts";
import { CAN_BUILD } from "./fake-cusolver/build.ts";
import { inFolder } from "./workbench.ts";

/** Sanitizers want to be loaded first, too. */
const CAN_LIMIT = CAN_BUILD && process.env.LD_PRELOAD === undefined;

/** What comes of ops in a process that is refused threads and memory: see device-limits/run.ts. */
const outcomes: Record<string, unknown> = !CAN_LIMIT
  ? {}
  : await inFolder(async (folder) => {
      const library = join(folder, "limits.so");
      const sources = join(import.meta.dir, "device-limits");
      const flags = ["-std=c++17", "-O1", "-fPIC", "-shared"];
      await outputOf(["c++", ...flags, "-o", library, join(sources, "limits.cc"), "-ldl"]);
      const run = [process.execPath, join(sources, "run.ts"), library, folder];
      return JSON.parse(await outputOf(run, { LD_PRELOAD: library }));
    });

describe.skipIf(!CAN_LIMIT)("where the system gives no more", () => {
  const whole = { stayed: 4, returned: [null] };
  const none = "cuda:0 (host memory 0): no thread can be started";

  test("threads, a device does with fewer of them", () => {
    expect(outcomes.fewer).toEqual({ ...whole, met: 1 });
    expect(outcomes.readers).toEqual({ ...whole, met: 1 });
  });

  test("threads at all, an op is an error, or the CPU's, and the next one tries again", () => {
    expect(outcomes.none).toMatchObject({ code: "DEVICE_FAILED", message: none });
    expect(outcomes.cpu).toEqual({ stayed: 3, returned: [none, null], met: 1 });
    expect(outcomes.later).toEqual({ ...whole, met: 0 });
    expect(outcomes.noReaders).toMatchObject({
      code: "DEVICE_FAILED",
      message: expect.stringMatching(/^no thread can be started: /),
    });
  });

  test("memory to a thread that reads inputs, that is the op's failure", () => {
    expect(outcomes.memory).toEqual({ code: "NO_MEMORY", message: "there is not enough memory", met: 1 });
    expect(outcomes.enough).toMatchObject({ device: "cuda:0 (host memory 0)" });
  });
});
