import { expect, test } from "bun:test";
import { makeMeter, progressDisplay } from "../../src/run/progress.ts";
import type { RunProgress } from "../../src/run/types.ts";
import { formatBytes, formatSeconds } from "../../src/run/units.ts";

/** A display that writes to `written`, and what time it is. */
function display(isTTY: boolean, columns = 120) {
  const written: string[] = [];
  const clock = { ms: 0 };
  const stream = { isTTY, columns, write: (text: string) => written.push(text) };
  return { written, clock, display: progressDisplay(stream, () => clock.ms, {}) };
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

test.each([
  [100, "merging [##########----------]  50 %  2.00 GB of 4.00 GB  1.00 GB/s  2.0 s left  …lp.up_proj.weight"],
  [80, "merging [#####-----]  50 %  2.00 GB  1.00 GB/s  2.0 s left  …mlp.up_proj.weight"],
  [60, "50 %  2.00 GB  1.00 GB/s  2.0 s left  …3.mlp.up_proj.weight"],
  [40, "50 %  2.00 GB  1.00 GB/s  2.0 s left"],
  [30, "50 %  1.00 GB/s  2.0 s left"],
  [20, "50 %  2.0 s left"],
  [8, "50 %"],
  [3, "50"],
])("%d columns have what tells most, and the end of the tensor's name", (columns, line) => {
  const { written, clock, display: bar } = display(true, columns);
  clock.ms = 2000;
  bar.progress(at(2e9));
  expect(written).toEqual([`\r${line}\u001B[K`]);
  expect(line.length).toBeLessThan(columns);
});

test("no line is as wide as the terminal, whatever it shows", () => {
  for (let columns = 2; columns < 160; columns++) {
    const { written, clock, display: bar } = display(true, columns);
    for (const bytes of [0, 1, 12e6, 3.999e9, 4e9]) {
      clock.ms += 7_777_777;
      bar.progress(at(bytes));
      bar.progress(at(bytes, "syncing"));
    }
    for (const text of written) expect(text.replace("\r", "").replace("\u001B[K", "").length).toBeLessThan(columns);
  }
});

test("the time left follows what was done lately, and is not said of the first second", () => {
  const { written, clock, display: bar } = display(true);
  clock.ms = 500;
  bar.progress(at(1e6));
  expect(written.at(-1)).toContain("-- left");
  // Two seconds from the cache, twenty at a tenth of that from the disk.
  for (; clock.ms <= 2000; clock.ms += 250) bar.progress(at(clock.ms * 1e6));
  for (; clock.ms <= 22_000; clock.ms += 250) bar.progress(at(2e9 + (clock.ms - 2000) * 1e5));
  expect(written.at(-1)).toContain("4.00 GB of 4.00 GB  100 MB/s");
});

test("a name cannot move the cursor or begin a line", () => {
  const { written, clock, display: bar } = display(true);
  clock.ms = 2000;
  bar.progress({ ...at(2e9), tensor: "w\u001B[2J\r\nx" });
  expect(written[0]).toContain("w\\u001b[2J\\u000d\\u000ax");
});

test.each([
  ["a terminal that cannot go back in a line", { TERM: "dumb" }],
  ["a CI system with a terminal", { CI: "true" }],
])("%s gets plain lines", (_, env) => {
  const written: string[] = [];
  let ms = 0;
  const meter = makeMeter({ isTTY: true, columns: 80, write: (text) => written.push(text) }, () => ms, env);
  ms = 2000;
  meter.show({ phase: "merging", bytes: 2e9, totalBytes: 4e9, earlierBytes: 0, item: "w", waiting: undefined });
  meter.end();
  expect(written).toEqual(["merging  50 %  2.00 GB of 4.00 GB  1.00 GB/s, 2.0 s left, w\n"]);
});

test("a log of hours has a line a minute, and says how long the disk is waited for", () => {
  const { written, clock, display: lines } = display(false);
  const until = (ms: number, show: () => void) => {
    for (; clock.ms < ms; clock.ms += 100) show();
  };
  until(3_600_000, () => lines.progress(at(4e9 * (clock.ms / 3_600_000))));
  expect(written.length).toBeGreaterThan(60);
  expect(written.length).toBeLessThan(150);
  until(3_800_000, () => lines.progress(at(4e9, "syncing")));
  expect(written.at(-1)).toMatch(/^syncing 100 % {2}4.00 GB of 4.00 GB .*waiting for the disk \d:\d\d min\n$/);
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
  const meter = makeMeter({ isTTY: true, columns: 100, write: (text: string) => written.push(text) }, () => ms, {});
  ms = 1000;
  meter.show({ bytes: 3e9, totalBytes: 4e9, earlierBytes: 2e9, item: "model.safetensors", waiting: undefined });
  expect(written[0]).toContain("75 %  3.00 GB of 4.00 GB  1.00 GB/s  1.0 s left  model.safetensors");
});

test("a wait is shown at once, and what it is for", () => {
  const written: string[] = [];
  const meter = makeMeter({ isTTY: true, columns: 100, write: (text: string) => written.push(text) }, () => 0, {});
  const reading = { bytes: 0, totalBytes: 4e9, earlierBytes: 0, item: "model.safetensors" };
  meter.show({ ...reading, waiting: undefined });
  meter.show({ ...reading, waiting: "the server asked to wait" });
  expect(written[1]).toContain("the server asked to wait");
});
