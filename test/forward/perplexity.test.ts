import { expect, test } from "bun:test";
import fc from "fast-check";
import { hiddenStates } from "../../src/forward/hidden-states.ts";
import { perplexity, windowsOf } from "../../src/forward/perplexity.ts";
import { inFolder } from "../native/workbench.ts";
import { openDecoder, recorded, writeRecorded } from "./tiny-decoder.ts";

const NAME = "llama-long";
const LONG = Int32Array.from(recorded(NAME).ids[0] as number[]);

test("overlapping windows score every token but the first once", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 300 }),
      fc.integer({ min: 2, max: 40 }),
      fc.integer({ min: 1, max: 39 }),
      (tokens, window, stride) => {
        const cut = [...windowsOf(tokens, { window, stride: Math.min(stride, window - 1) })];
        const scored = cut.flatMap(({ scoredFrom, end }) =>
          Array.from({ length: end - scoredFrom }, (_, i) => scoredFrom + i),
        );
        expect(scored).toEqual(Array.from({ length: tokens - 1 }, (_, i) => i + 1));
        for (const { begin, end, scoredFrom } of cut) {
          expect(end - begin).toBeLessThanOrEqual(window);
          expect(scoredFrom).toBeGreaterThan(begin);
        }
      },
    ),
  );
});

test("windows side by side leave out the first token of each", () => {
  const cut = [...windowsOf(10, { window: 4, stride: 4 })];
  expect(cut).toEqual([
    { begin: 0, end: 4, scoredFrom: 1 },
    { begin: 4, end: 8, scoredFrom: 5 },
    { begin: 8, end: 10, scoredFrom: 9 },
  ]);
});

test("a text in windows is as perplexing as its windows, each scored from where the one before ended", async () => {
  await inFolder(async (folder) => {
    writeRecorded(folder, recorded(NAME));
    const decoder = openDecoder(folder);
    const whole = await perplexity(decoder, LONG, { window: 40, stride: 15 });
    expect([whole.tokens, whole.scored]).toEqual([150, 149]);
    let sum = 0;
    for (const { begin, end, scoredFrom } of windowsOf(150, { window: 40, stride: 15 })) {
      const loss = async (upTo: number) => {
        if (upTo - begin < 2) return 0;
        const found = await perplexity(decoder, LONG.subarray(begin, upTo), { window: 40, stride: 40 });
        return found.loss * found.scored;
      };
      sum += (await loss(end)) - (await loss(scoredFrom));
    }
    expect(whole.loss).toBeCloseTo(sum / 149, 5);
  });
});

test("more context than the windows allow makes a difference", async () => {
  await inFolder(async (folder) => {
    writeRecorded(folder, recorded(NAME));
    const decoder = openDecoder(folder);
    const narrow = await perplexity(decoder, LONG, { window: 8, stride: 4 });
    const wide = await perplexity(decoder, LONG, { window: 150, stride: 150 });
    expect(Math.abs(narrow.loss - wide.loss)).toBeGreaterThan(0.01);
  });
});

test("progress ends at the number of tokens, also with windows that overlap", async () => {
  await inFolder(async (folder) => {
    writeRecorded(folder, recorded(NAME));
    const seen: number[] = [];
    const onTokens = (done: number) => seen.push(done);
    await perplexity(openDecoder(folder), LONG, { window: 20, stride: 3 }, { onTokens });
    expect(seen.at(-1)).toBe(150);
  });
});

test("sequences in one batch do not influence each other, in whatever order they come", async () => {
  await inFolder(async (folder) => {
    const from = recorded("llama-dynamic");
    writeRecorded(folder, from);
    const decoder = openDecoder(folder);
    const ids = from.ids.map((one) => Int32Array.from(one));
    const together = await hiddenStates(decoder, ids.toReversed(), "last");
    const { layers, sequences, width } = together;
    for (const [index, one] of ids.toReversed().entries()) {
      const alone = await hiddenStates(decoder, [one], "last");
      for (let layer = 0; layer < layers; layer++) {
        const at = (layer * sequences + index) * width;
        expect(together.values.slice(at, at + width)).toEqual(alone.values.slice(layer * width, (layer + 1) * width));
      }
    }
  });
});

test("with a window in every layer, tokens beyond its reach do not matter", async () => {
  await inFolder(async (folder) => {
    writeRecorded(folder, recorded("mistral-window"));
    const decoder = openDecoder(folder);
    // Three positions back in each of the two layers below the last one's input.
    const near = await hiddenStates(decoder, [LONG.slice(-7)], "last");
    const far = await hiddenStates(decoder, [LONG], "last");
    const nearer = await hiddenStates(decoder, [LONG.slice(-6)], "last");
    const last = (states: typeof near) => states.values.slice(2 * states.width);
    for (const [i, value] of last(far).entries()) expect(last(near)[i]).toBeCloseTo(value, 4);
    expect(Math.max(...last(far).map((value, i) => Math.abs(value - (last(nearer)[i] as number))))).toBeGreaterThan(
      1e-3,
    );
  });
});
