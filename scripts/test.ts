/**
 * `bun test` with one more line at the end, `N passed, N failed`, and its exit code. Arguments go to `bun test`. It fails
 * also where a file that the tests only read was changed.
 */
import { stripVTControlCharacters } from "node:util";
import { PATIENCE } from "../test/support/patience.ts";
import { changedPaths, inputHashes } from "./input-hashes.ts";
import { ROOT } from "./paths.ts";
import { summaryCounts } from "./test-summary.ts";

const color = process.stderr.isTTY ? { FORCE_COLOR: "1" } : {};

const wanted = process.argv.slice(2);
// A process for each of two cores: most tests wait for one thread. Not with a sanitizer, whose addon takes its memory twice.
const side = wanted.length === 0 && process.env.SINTER_ADDON === undefined ? ["--parallel=2", "--no-isolate"] : [];

const before = inputHashes(ROOT);
const child = Bun.spawn([process.execPath, "test", `--timeout=${PATIENCE}`, ...side, ...wanted], {
  cwd: ROOT,
  env: { ...process.env, ...color },
  stdin: "ignore",
  stdout: "inherit",
  stderr: "pipe",
});
let text = "";
const decoder = new TextDecoder();
for await (const chunk of child.stderr) {
  process.stderr.write(chunk);
  text += decoder.decode(chunk, { stream: true });
}
const code = await child.exited;
const changed = changedPaths(before, inputHashes(ROOT));
for (const path of changed) console.log(`a test changed its input ${path}`);
const counts = summaryCounts(stripVTControlCharacters(text), code);
const failed = counts.failed + changed.length;
console.log(`${counts.passed} passed, ${failed} failed`);
process.exit(failed > 0 ? code || 1 : 0);
