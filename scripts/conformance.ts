/**
 * `bun run conformance FOLDER [--filter TEXT] [--json] [--jobs N]`: runs the cases of a conformance kit (merge
 * configurations with the outputs that mergekit produced) through this repository's programs and compares.
 * Cases whose feature Sinter says it lacks are listed as pending. Exit code 1 where a case fails.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Comparison, Distance } from "../test/conformance/compare.ts";
import { Kit } from "../test/conformance/kit.ts";
import { runCase, type Verdict } from "../test/conformance/run-case.ts";

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: { filter: { type: "string" }, json: { type: "boolean" }, jobs: { type: "string", default: "2" } },
});
const folder = resolve(positionals[0] ?? ".");
if (!existsSync(join(folder, "cases", "index.json"))) {
  console.error(`${folder} is no conformance kit: it has no cases/index.json`);
  process.exit(2);
}

const kit = new Kit(folder);
const cases = kit.cases.filter(({ name }) => name.includes(values.filter ?? ""));
const width = Math.max(...cases.map(({ name }) => name.length));
// Configurations name models relative to the kit.
process.chdir(folder);
const verdicts = await runAll(Math.max(1, Number(values.jobs)));
if (values.json) console.log(JSON.stringify(verdicts, undefined, 2));
else printSummary(verdicts);
process.exit(verdicts.some(({ outcome }) => outcome === "fail") ? 1 : 0);

/** Several cases at a time; lines appear in the order of the kit. */
async function runAll(jobs: number): Promise<Verdict[]> {
  const running: Promise<Verdict>[] = [];
  const done: Verdict[] = [];
  for (const [i, conformanceCase] of cases.entries()) {
    if (i >= jobs) await running[i - jobs];
    running.push(runCase(kit, conformanceCase));
    while (done.length <= i - jobs) settle((await running[done.length]) as Verdict, done);
  }
  for (const rest of running.slice(done.length)) settle(await rest, done);
  return done;
}

function settle(verdict: Verdict, done: Verdict[]): void {
  done.push(verdict);
  if (!values.json) console.log(lineOf(verdict));
}

function lineOf(verdict: Verdict): string {
  const name = verdict.name.padEnd(width);
  if (verdict.outcome === "pending") return `pending  ${name}  ${verdict.feature}`;
  const { outcome, faults, comparisons } = verdict;
  const shown = faults.slice(0, 3).join("; ") + (faults.length > 3 ? `; and ${faults.length - 3} more` : "");
  return `${outcome === "pass" ? "pass   " : "FAIL   "}  ${name}  ${distances(comparisons)}${shown}`.trimEnd();
}

/** How far from the truth the outputs are, ours and the reference's: the worst element and the norm over all. */
function distances(comparisons: readonly Comparison[]): string {
  const pairs = comparisons.flatMap(({ ours, theirs }) => (ours && theirs ? [{ ours, theirs }] : []));
  if (pairs.length === 0) return "";
  const worst = (side: (pair: (typeof pairs)[number]) => Distance) => Math.max(...pairs.map((pair) => side(pair).ulps));
  const norm = (side: (pair: (typeof pairs)[number]) => Distance) => Math.hypot(...pairs.map((pair) => side(pair).l2));
  const ulps = `${short(worst((pair) => pair.ours))} | ${short(worst((pair) => pair.theirs))} ulp`;
  return `${ulps}, ${short(norm((pair) => pair.ours))} | ${short(norm((pair) => pair.theirs))} L2  `;
}

function short(value: number): string {
  return value.toPrecision(3);
}

function printSummary(all: readonly Verdict[]): void {
  const count = (outcome: Verdict["outcome"]) => all.filter((verdict) => verdict.outcome === outcome).length;
  const features = Map.groupBy(
    all.filter((verdict) => verdict.outcome === "pending"),
    ({ feature }) => feature,
  );
  if (features.size > 0) console.log("\nPending, by what Sinter says it lacks:");
  for (const [feature, list] of [...features].sort((a, b) => b[1].length - a[1].length)) {
    console.log(`  ${String(list.length).padStart(3)}  ${feature}`);
  }
  console.log(`\n${count("pass")} passed, ${count("fail")} failed, ${count("pending")} pending`);
}
