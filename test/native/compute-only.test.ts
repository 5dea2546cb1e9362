import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { native } from "../../src/native.ts";
import { inFolder, numbers } from "./workbench.ts";

const COUNT = 3_000_017;
const { uniform } = numbers(7);
const values = Float32Array.from({ length: 3 * COUNT }, () => uniform() - 0.5);

const CASES = [
  { kernel: "copy", inputs: 1, params: [] },
  { kernel: "linear", inputs: 3, params: [0.2, 0.3, 0.5] },
  { kernel: "slerp", inputs: 2, params: [0.3] },
  { kernel: "ties", inputs: 3, params: [1, 1, 0, 0.6, COUNT / 2, 0.4, COUNT / 3].map(Math.trunc) },
  { kernel: "dare_ties", inputs: 3, params: [1, 0, 1, 0.6, 0.5, 0.4, 0.5] },
];

test.each(CASES)(
  "the checksum of what $kernel would write is that of what it writes",
  async ({ kernel, inputs, params }) => {
    await inFolder(async (folder) => {
      const addon = native();
      writeFileSync(join(folder, "inputs"), values);
      const { handle: source } = addon.openSource(join(folder, "inputs"));
      const op = {
        kernel,
        params,
        inputs: Array.from({ length: inputs }, (_, i) => {
          return { source, offset: 4 * COUNT * i, dtype: "F32" as const, stream: i };
        }),
        count: COUNT,
        elements: COUNT,
        rows: 1,
        columns: COUNT,
        seed: 3,
        tensor: "w",
        dtype: "F32" as const,
      };
      const sink = addon.createSink(join(folder, "outputs"), 4 * COUNT);
      const written = await addon.merge({ ...op, sink, offset: 0, crc32: false });
      const computed = await addon.checksum(op);
      await addon.commitSink(sink, false);
      addon.close(source);
      expect(computed.checksum).toBe(written.checksum);
      expect(computed.nonFinite).toEqual(written.nonFinite);
    });
  },
);
