/** `bun run bench`: every merge method end to end against the speed of the disk. See docs/performance.md. */
import { mkdirSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import pkg from "../package.json" with { type: "json" };
import { QWEN2_05B } from "../scripts/family/shape.ts";
import { type Family, writeFamily } from "../scripts/family/write.ts";
import { ROOT } from "../scripts/paths.ts";
import { methods } from "../src/methods/index.ts";
import { native } from "../src/native.ts";
import { type BenchCase, benchCase, variantsOf } from "./cases.ts";
import { type Fact, memoryFacts, startupFacts } from "./facts.ts";
import { loraFacts } from "./lora.ts";
import { type MergeRow, measureMerge } from "./merge.ts";
import { MIXTURE, mixtureCase, mixtureFacts } from "./mixture.ts";
import { factLine, mergeHeading, mergeLine, verdict } from "./table.ts";

const HELP = `Usage: bun run bench [OPTIONS]

  --methods A,B      Only these methods; moe is a mixture of four experts.
  --noise 3e-4,3e-5  Only fine-tunes of these noise levels.
  --repetitions N    Measured pairs of merge and floor per method (5; with --quick 3).
  --quick            One noise level, no 10 GB model.
  --facts            Only start-up, planning, adapters and memory, not the methods.
  --dir FOLDER       Where the models lie (.bench): 5 GB, made once, and up to 11 GB more while it runs.
  --json             Print JSON on standard output.
`;

const NOISES = [3e-4, 3e-5];

const args = readArguments();

const machine = {
  sinter: pkg.version,
  bun: Bun.version,
  kernel: release(),
  cpu: cpus()[0]?.model ?? "unknown",
  cpus: availableParallelism(),
  target: native().info().target,
};

async function bench(): Promise<void> {
  const dir = resolve(args.dir);
  const cases = benchCases(dir);
  say(`${machine.cpu}, ${machine.cpus} CPUs, ${machine.target}, Linux ${machine.kernel}, Bun ${machine.bun}`);
  const [load = 0] = loadavg();
  if (load > machine.cpus / 2)
    say(`The machine is busy (load ${load.toFixed(1)}): the figures will be worse than its own.`);
  const rows: MergeRow[] = [];
  if (!args.facts) {
    const repetitions = Number(args.repetitions ?? (args.quick ? 3 : 5));
    say(`Qwen2-0.5B shape, bfloat16, warm page cache; medians of ${repetitions}\n`);
    say(mergeHeading());
    for (const bench of cases) {
      for (const row of await measureMerge(bench, dir, repetitions)) {
        rows.push(row);
        say(mergeLine(row));
      }
    }
    say("");
  }
  const facts: Fact[] = [];
  const report = (measured: Fact[] | string) => {
    if (typeof measured === "string") return say(measured);
    facts.push(...measured);
    for (const fact of measured) say(factLine(fact));
  };
  report(mixtureFacts(rows));
  const planned = cases.find(({ name }) => name === "ties") ?? cases.find(({ command }) => command === undefined);
  if (planned !== undefined) report(await startupFacts(dir, planned));
  const [base = "", tune = ""] = ["base", tuneName(3e-4, "a")].map((name) => join(dir, "models", name));
  report(await loraFacts(dir, base, tune));
  if (!args.quick)
    report(
      await memoryFacts(
        dir,
        ["a", "b"].map((letter) => join(dir, "models", tuneName(3e-4, letter))),
      ),
    );
  say(verdict(rows, facts));
  if (args.json) console.log(JSON.stringify({ machine, merges: rows, facts }, null, 2));
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        methods: { type: "string" },
        noise: { type: "string" },
        repetitions: { type: "string" },
        quick: { type: "boolean", default: false },
        facts: { type: "boolean", default: false },
        dir: { type: "string", default: join(ROOT, ".bench") },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
    process.exit(2);
  }
}

/** With --json the table goes to standard error. */
function say(line: string): void {
  (args.json ? console.error : console.log)(line);
}

function benchCases(dir: string): BenchCase[] {
  const wanted = args.methods?.split(",");
  const unknown = wanted?.filter((name) => name !== MIXTURE && !methods.some((method) => method.name === name)) ?? [];
  if (unknown.length > 0) throw new Error(`no such method: ${unknown.join(", ")}`);
  const chosen = methods.filter(({ name }) => wanted === undefined || wanted.includes(name));
  const noises = args.noise?.split(",").map(Number) ?? (args.quick ? NOISES.slice(0, 1) : NOISES);
  const strange = noises.filter((noise) => !NOISES.includes(noise));
  if (strange.length > 0) throw new Error(`the noise levels are ${NOISES.join(" and ")}`);
  const configs = join(dir, "configs");
  mkdirSync(configs, { recursive: true });
  makeModels(join(dir, "models"));
  const merges = chosen.flatMap((method) =>
    noises.flatMap((noise) => {
      const [base, ...tunes] = ["base", tuneName(noise, "a"), tuneName(noise, "b")].map((name) =>
        join(dir, "models", name),
      ) as [string, string, string];
      return variantsOf(method).map((variant) => benchCase(method, variant, noise, configs, { base, tunes }));
    }),
  );
  if (wanted !== undefined && !wanted.includes(MIXTURE)) return merges;
  const experts = NOISES.flatMap((noise) => ["a", "b"].map((letter) => join(dir, "models", tuneName(noise, letter))));
  return [...merges, mixtureCase(configs, join(dir, "models", "base"), experts)];
}

function tuneName(noise: number, letter: string): string {
  return `${letter}-${noise.toExponential()}`;
}

function makeModels(dir: string): void {
  const tunes = NOISES.flatMap((noise) => ["a", "b"].map((letter) => ({ name: tuneName(noise, letter), noise })));
  const family: Family = { shape: QWEN2_05B, models: [{ name: "base", noise: 0 }, ...tunes], shardBytes: 5e9 };
  let shown = 0;
  writeFamily(dir, family, (done, total) => {
    if (done - shown < 5e8 && done < total) return;
    shown = done;
    say(`writing models: ${(done / 1e9).toFixed(1)} of ${(total / 1e9).toFixed(1)} GB`);
  });
}

if (args.help) {
  process.stdout.write(HELP);
} else {
  try {
    await bench();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}
