import { afterAll, describe, expect, test } from "bun:test";
import { hiddenStates } from "../../src/forward/hidden-states.ts";
import { perplexity } from "../../src/forward/perplexity.ts";
import { native } from "../../src/native.ts";
import { inFolder } from "../native/workbench.ts";
import { openDecoder, RECORDED_NAMES, recorded, writeRecorded } from "./tiny-decoder.ts";

const addon = native();
afterAll(() => addon.configure({}));

/** |found - wanted| / |wanted| of vectors. */
function distance(found: ArrayLike<number>, wanted: readonly number[]): number {
  let [difference, size] = [0, 0];
  for (const [i, value] of wanted.entries()) {
    difference += ((found[i] as number) - value) ** 2;
    size += value ** 2;
  }
  return Math.sqrt(difference / size);
}

describe.each(RECORDED_NAMES)("%s", (name) => {
  const from = recorded(name);
  const ids = from.ids.map((one) => Int32Array.from(one));
  const width = from.config.hidden_size as number;

  test.each(["last", "average"] as const)("the %s states of every layer are those of Transformers", async (mode) => {
    await inFolder(async (folder) => {
      writeRecorded(folder, from);
      for (const target of addon.info().targets) {
        addon.configure({ target });
        const states = await hiddenStates(openDecoder(folder), ids, mode);
        expect([states.layers, states.sequences, states.width]).toEqual([3, ids.length, width]);
        for (let row = 0; row < states.layers * states.sequences; row++) {
          const at = [row * width, (row + 1) * width] as const;
          expect(distance(states.values.subarray(...at), from[mode].slice(...at))).toBeLessThan(2e-6);
        }
      }
    });
  });

  test("the perplexity of every sequence is that of Transformers", async () => {
    await inFolder(async (folder) => {
      writeRecorded(folder, from);
      for (const target of addon.info().targets) {
        addon.configure({ target });
        let at = 0;
        for (const one of ids) {
          const wanted = from.logProbabilities.slice(at + 1, at + one.length);
          at += one.length;
          if (one.length === 1) continue;
          const windows = { window: one.length, stride: one.length };
          const found = await perplexity(openDecoder(folder), one, windows);
          const loss = -wanted.reduce((sum, value) => sum + value, 0) / wanted.length;
          expect(found.loss).toBeCloseTo(loss, 5);
          expect(found.perplexity / Math.exp(loss)).toBeCloseTo(1, 5);
        }
      }
    });
  });
});
