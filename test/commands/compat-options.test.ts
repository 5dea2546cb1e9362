import { describe, expect, test } from "bun:test";
import { spec as bakllama } from "../../src/commands/compat/bakllama.ts";
import { spec as fill } from "../../src/commands/compat/mergekit-fill-missing-params.ts";
import { spec as layershuffle } from "../../src/commands/compat/mergekit-layershuffle.ts";
import { spec as legacy } from "../../src/commands/compat/mergekit-legacy.ts";
import { spec as multi } from "../../src/commands/compat/mergekit-multi.ts";
import { MERGEKIT_OPTIONS } from "../../src/commands/compat/mergekit-options.ts";
import { spec as pytorch } from "../../src/commands/compat/mergekit-pytorch.ts";
import type { CommandSpec } from "../../src/commands/option.ts";
import { parseCommandLine } from "../../src/commands/parse.ts";

/** mergekit 0.1.4's arguments and options of each program, besides those that its merge commands share. */
const PROGRAMS: readonly (readonly [
  CommandSpec,
  arguments: number,
  options: Record<string, string | undefined>,
  shared: boolean,
])[] = [
  [multi, 1, { "out-path": undefined, "intermediate-dir": "I", lazy: undefined }, true],
  [pytorch, 2, { "tensor-intersection": "i", "tensor-union": "u" }, true],
  [
    layershuffle,
    1,
    {
      model: "m",
      weight: "w",
      "print-yaml": undefined,
      "write-yaml": undefined,
      "dry-run": undefined,
      fp16: undefined,
      "full-random": undefined,
    },
    true,
  ],
  [
    legacy,
    1,
    Object.fromEntries(
      [
        "merge",
        "density",
        "weight",
        "method",
        "base-model",
        "normalize",
        "int8-mask",
        "bf16",
        "naive-count",
        "print-yaml",
      ].map((name) => [name, undefined]),
    ),
    true,
  ],
  [bakllama, 2, { "clone-tensors": undefined, fp16: undefined }, false],
  [fill, 2, { max_shard_size: undefined, output_dir: undefined }, false],
];

describe.each(PROGRAMS.map((program) => [program[0].name, program] as const))("%s", (_, [spec, count, own, shared]) => {
  test("has mergekit's options, short ones too, and no others", () => {
    const options = Object.values(spec.options);
    const names = options.map((option) => (option.kind === "count" ? option.short : option.name));
    const others = Object.values(MERGEKIT_OPTIONS).map((option) =>
      option.kind === "count" ? option.short : option.name,
    );
    expect(new Set(names)).toEqual(new Set([...Object.keys(own), ...(shared ? others : [])]));
    for (const [name, short] of Object.entries(own)) {
      const option = options.find((one) => one.kind !== "count" && one.name === name);
      expect(option?.short).toBe(short as string);
    }
    expect(spec.positionals.filter(({ required }) => required)).toHaveLength(count);
  });
});

function options<S extends CommandSpec>(spec: S, ...args: string[]) {
  const parsed = parseCommandLine(spec, args);
  if (parsed.kind === "help") throw new Error("asked for help");
  return parsed as { options: Record<string, unknown>; positionals: readonly string[] };
}

test("options that may be repeated keep every value, in their order, and leave arguments alone", () => {
  const { options: values, positionals } = options(layershuffle, "-m", "a", "out", "--model=b", "-w", "-0.5", "-w2");
  expect(values).toMatchObject({ model: ["a", "b"], weight: [-0.5, 2] });
  expect(positionals).toEqual(["out"]);
});

test("on and off forms are those of mergekit", () => {
  for (const [spec, args] of [
    [multi, ["--lazy", "--no-lazy"]],
    [
      layershuffle,
      ["--print-yaml", "--no-print-yaml", "--fp16", "--no-fp16", "--full-random", "--no-full-random", "--dry-run"],
    ],
    [
      legacy,
      [
        "--normalize",
        "--no-normalize",
        "--int8-mask",
        "--no-int8-mask",
        "--bf16",
        "--no-bf16",
        "--naive-count",
        "--no-naive-count",
      ],
    ],
    [bakllama, ["--fp16", "--no-fp16", "--clone-tensors", "--no-clone-tensors"]],
  ] as const) {
    const rest = Array.from({ length: spec.positionals.length }, (_, i) => `p${i}`);
    for (const arg of args) expect(() => options(spec, arg, ...rest)).not.toThrow();
  }
  expect(() => options(layershuffle, "--no-dry-run", "out")).toThrow("No such option");
  expect(() => options(pytorch, "--no-tensor-union", "c", "out")).toThrow("No such option");
  expect(() => options(legacy, "--weight", "half", "out")).toThrow('"half" is not a number');
});
