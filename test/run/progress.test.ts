import { expect, test } from "bun:test";
import { makeMeter, progressDisplay } from "../../src/run/progress.ts";
import type { RunProgress } from "../../src/run/types.ts";
import { formatBytes, formatSeconds } from "../../src/run/units.ts";

/** A display that writes to `written`, and what time it is. */
function display(isTTY: boolean, columns = 120) {
  const written: string[] = [];
  const clock = { ms: 0 };
  const stream = { isTTY, columns, write: (text: string) => written.push(text) };
  return { written, clock, display: progressDisplay(stream, () => clock.ms) };
}

function at(bytes: number, phase: RunProgress["phase"] = "merging"): RunProgress {
  return { phase, bytes, totalBytes: 4e9, earlierBytes: 0, tensor: "model.layers.3.mlp.up_proj.weight" };
}

test("a terminal gets one line with bytes, rate, time left and the tensor", () => {
  const { written, clock, display: bar } = display(true);
  clock.ms = 1000;
  bar.progress(at(1e9));
  expect(written).toEqual([
    "\rmerging [#####---------------]  25 %  1.00 GB of 4.00 GB  1.00 GB/s  3.0 s left  model.layers.3.mlp.up_proj.weight\u001B[K",
  ]);
});

test("the bar is redrawn at most ten times a second", () => {
  const { written, clock, display: bar } = display(true);
  for (let ms = 1; ms <= 1000; ms++) {
    clock.ms = ms;
    bar.progress(at(ms * 1e6));
  }
  expect(written.length).toBe(10);
});

test("waiting for the disk is shown at once", () => {
  const { written, clock, display: bar } = display(true);
  clock.ms = 1000;
  bar.progress(at(4e9));
  bar.progress(at(4e9, "syncing"));
  expect(written[1]).toContain("waiting for the disk");
});

test("the bar fits a narrow terminal", () => {
  const { written, clock, display: bar } = display(true, 60);
  clock.ms = 1000;
  bar.progress(at(1e9));
  expect(written[0]?.replace("\r", "").replace("\u001B[K", "").length).toBe(59);
});

test("the bar is taken off the screen at the end, and nothing is written where there was none", () => {
  const { written, display: bar } = display(true);
  bar.end();
  expect(written).toEqual([]);
  bar.progress(at(1));
  bar.end();
  expect(written.at(-1)).toBe("\r\u001B[K");
});

test("a log gets a plain line every two seconds, with the phase and the tensor", () => {
  const { written, clock, display: lines } = display(false);
  for (let ms = 500; ms <= 5000; ms += 500) {
    clock.ms = ms;
    lines.progress(at(ms * 8e5));
  }
  expect(written).toEqual([
    "merging  40 %  1.60 GB of 4.00 GB  800 MB/s, 3.0 s left, model.layers.3.mlp.up_proj.weight\n",
    "merging  80 %  3.20 GB of 4.00 GB  800 MB/s, 1.0 s left, model.layers.3.mlp.up_proj.weight\n",
  ]);
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.00 kB"],
  [988_097_824, "988 MB"],
  [999_700_000, "1.00 GB"],
  [12_345_000_000, "12.3 GB"],
])("%d bytes read as %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0.84, "0.8 s"],
  [9.96, "10 s"],
  [59.6, "1:00 min"],
  [65, "1:05 min"],
  [7384, "2:03:04 h"],
])("%d seconds read as %s", (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});

test("bytes that were there before count for the share and not for the rate", () => {
  const written: string[] = [];
  let ms = 0;
  const meter = makeMeter({ isTTY: true, columns: 100, write: (text: string) => written.push(text) }, () => ms);
  ms = 1000;
  meter.show({ bytes: 3e9, totalBytes: 4e9, earlierBytes: 2e9, item: "model.safetensors", waiting: undefined });
  expect(written[0]).toContain("75 %  3.00 GB of 4.00 GB  1.00 GB/s  1.0 s left  model.safetensors");
});

test("a wait is shown at once, and what it is for", () => {
  const written: string[] = [];
  const meter = makeMeter({ isTTY: true, columns: 100, write: (text: string) => written.push(text) }, () => 0);
  const reading = { bytes: 0, totalBytes: 4e9, earlierBytes: 0, item: "model.safetensors" };
  meter.show({ ...reading, waiting: undefined });
  meter.show({ ...reading, waiting: "the server asked to wait" });
  expect(written[1]).toContain("the server asked to wait");
});
