import { expect, test } from "bun:test";
import { spec } from "../../src/commands/compat/mergekit-yaml.ts";
import { renderHelp } from "../../src/commands/help.ts";
import { parseCommandLine } from "../../src/commands/parse.ts";

function options(...args: string[]) {
  const parsed = parseCommandLine(spec, [...args, "config.yml", "out"]);
  if (parsed.kind === "help") throw new Error("asked for help");
  return parsed.options;
}

/** mergekit 0.1.4's options that are on or off, with their defaults. */
const SWITCHES: Record<string, [key: keyof ReturnType<typeof options>, byDefault: boolean]> = {
  "allow-crimes": ["allowCrimes", false],
  cuda: ["cuda", false],
  "low-cpu-memory": ["lowCpuMemory", false],
  "copy-tokenizer": ["copyTokenizer", true],
  "clone-tensors": ["cloneTensors", false],
  "trust-remote-code": ["trustRemoteCode", false],
  "lazy-unpickle": ["lazyUnpickle", false],
  "write-model-card": ["writeModelCard", true],
  "safe-serialization": ["safeSerialization", true],
  quiet: ["quiet", false],
  "read-to-gpu": ["readToGpu", false],
  "multi-gpu": ["multiGpu", false],
  "async-write": ["asyncWrite", false],
};

test.each(Object.entries(SWITCHES))("--%s and --no-%s", (name, [key, byDefault]) => {
  expect(options()[key]).toBe(byDefault);
  expect(options(`--${name}`)[key]).toBe(true);
  expect(options(`--no-${name}`)[key]).toBe(false);
});

/** Those that take a value: an example, and what it reads as. */
const VALUES: [string[], object][] = [
  [["--transformers-cache", "/cache"], { transformersCache: "/cache" }],
  [["--lora-merge-cache=/loras"], { loraMergeCache: "/loras" }],
  [["--lora-merge-dtype", "bfloat16"], { loraMergeDtype: "BF16" }],
  [["--device", "cuda:1"], { device: "cuda:1" }],
  [["--out-shard-size", "2B"], { outShardSize: 2e9 }],
  [["--random-seed", "42"], { randomSeed: 42 }],
  [["--num-threads", "8"], { numThreads: 8 }],
  [["-j", "8"], { numThreads: 8 }],
  [["-j8"], { numThreads: 8 }],
  [["--write-threads", "4"], { writeThreads: 4 }],
  [["-v"], { verbosity: 1 }],
  [["-vv"], { verbosity: 2 }],
  [["--gpu-rich"], { gpuRich: true }],
];

test.each(VALUES)("%j", (args: string[], expected: object) => {
  expect(options(...args)).toMatchObject(expected);
});

test("defaults are mergekit's", () => {
  expect(options()).toMatchObject({
    outShardSize: 5e9,
    writeThreads: 1,
    verbosity: 0,
    gpuRich: false,
    device: undefined,
    transformersCache: undefined,
    loraMergeCache: undefined,
    loraMergeDtype: undefined,
  });
});

test("every option is one of mergekit's, and has an example here", () => {
  const named = Object.values(spec.options).map((option) => (option.kind === "count" ? option.short : option.name));
  const tried = VALUES.map(([[first = ""]]) => first.replace(/^--?/, "").replace(/=.*/, ""));
  const known = new Set([...Object.keys(SWITCHES), ...tried.filter((name) => !/^(j|vv|j8)$/.test(name))]);
  expect(new Set<string>(named)).toEqual(known);
  expect(named).toHaveLength(23);
});

test.each(["--no-gpu-rich", "--verbose", "--no-num-threads", "--threads", "--cuda=1"])(
  "%s is refused, as by mergekit",
  (arg) => {
    expect(() => options(arg)).toThrow();
  },
);

test("every option without effect says so in --help", () => {
  const help = renderHelp(spec).replaceAll(/\s+/g, " ");
  for (const name of ["clone-tensors", "lazy-unpickle", "read-to-gpu", "async-write"]) {
    expect(help).toMatch(new RegExp(`--${name} / --no-${name} No effect`));
  }
  expect(help).toMatch(/--trust-remote-code \/ --no-trust-remote-code No effect: .* never runs code/);
});
