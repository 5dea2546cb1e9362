import { expect, test } from "bun:test";
import { type CommandSpec, choice, integer, type Options, size, text } from "../../src/commands/option.ts";
import { parseCommandLine, UsageError } from "../../src/commands/parse.ts";

const OPTIONS = {
  card: { kind: "flag", name: "write-card", negatable: true, default: true, doc: "", group: "" },
  force: { kind: "flag", name: "force", short: "f", negatable: false, default: false, doc: "", group: "" },
  verbosity: { kind: "count", short: "v", doc: "", group: "" },
  threads: {
    kind: "value",
    name: "num-threads",
    aliases: ["threads"],
    short: "j",
    metavar: "N",
    read: integer(0, 64),
    default: 2,
    doc: "",
    group: "",
  },
  size: { kind: "value", name: "size", metavar: "S", read: size, default: 5, doc: "", group: "" },
  device: { kind: "value", name: "device", metavar: "D", read: text, default: undefined, doc: "", group: "" },
  nan: {
    kind: "value",
    name: "nan",
    metavar: "N",
    read: choice(["warn", "error"]),
    default: "warn",
    doc: "",
    group: "",
  },
  models: { kind: "list", name: "models", metavar: "MODEL", read: text, doc: "", group: "" },
  sizes: { kind: "list", name: "sizes", metavar: "S", read: size, doc: "", group: "" },
} as const satisfies Options;

const SPEC: CommandSpec<typeof OPTIONS> = {
  name: "test",
  summary: "",
  positionals: [
    { name: "IN", doc: "what to read", required: true },
    { name: "OUT", doc: "where to write", required: false },
  ],
  options: OPTIONS,
  examples: [],
};

function parse(line: string) {
  const parsed = parseCommandLine(SPEC, line === "" ? [] : line.split(" "));
  if (parsed.kind === "help") throw new Error("asked for help");
  return parsed;
}

function problem(line: string) {
  try {
    parse(line);
  } catch (error) {
    if (error instanceof UsageError) return error.problems[0];
  }
  throw new Error(`accepted: ${line}`);
}

test("without options every default holds", () => {
  const defaults = {
    card: true,
    force: false,
    verbosity: 0,
    threads: 2,
    size: 5,
    device: undefined,
    nan: "warn",
    models: [],
    sizes: [],
  };
  expect(parse("a").options).toEqual(defaults as ReturnType<typeof parse>["options"]);
});

test.each([
  ["a --no-write-card", { card: false }],
  ["a --no-write-card --write-card", { card: true }],
  ["--force a", { force: true }],
  ["a -f", { force: true }],
  ["a -vvv", { verbosity: 3 }],
  ["-v a -v", { verbosity: 2 }],
  ["a --num-threads 3", { threads: 3 }],
  ["a --num-threads=3", { threads: 3 }],
  ["a --threads=3", { threads: 3 }],
  ["a -j3", { threads: 3 }],
  ["a -j 3", { threads: 3 }],
  ["a -vfj3", { threads: 3, verbosity: 1, force: true }],
  ["a -j 3 -j 4", { threads: 4 }],
  ["a --device --force", { device: "--force", force: false }],
  ["a --device=", { device: "" }],
  ["a --device a=b", { device: "a=b" }],
  ["a --device=a=b", { device: "a=b" }],
  ["a --nan error", { nan: "error" }],
])("%s", (line, expected) => {
  expect(parse(line).options).toMatchObject(expected as object);
});

test("options may stand before, between and after arguments; -- ends them", () => {
  expect(parse("-v one -f two").positionals).toEqual(["one", "two"]);
  expect(parse("-v -- -f --force").positionals).toEqual(["-f", "--force"]);
  expect(parse("- two").positionals).toEqual(["-", "two"]);
});

test.each([
  ["a --write-cart", "No such option: --write-cart", "did you mean --write-card?"],
  ["a --no-force", "No such option: --no-force", "did you mean --force?"],
  ["a --zzzzzzzzzzz=3", "No such option: --zzzzzzzzzzz", undefined],
  ["a -x", "No such option: -x", undefined],
  ["a -vx", "No such option: -x", undefined],
  ["a -force", "No such option: -o", undefined],
  ["a --force=yes", "option --force does not take a value", undefined],
  ["a --help=yes", "option --help does not take a value", undefined],
  ["a --num-threads", "option --num-threads requires a value", undefined],
  ["a -j", "option -j requires a value", undefined],
  ["a -j=3", 'Invalid value for --num-threads, --threads, -j: "=3" is not a whole number', undefined],
  ["a -j 3.5", 'Invalid value for --num-threads, --threads, -j: "3.5" is not a whole number', undefined],
  ["a -j -1", "Invalid value for --num-threads, --threads, -j: -1 is below 0", undefined],
  ["a -j 65", "Invalid value for --num-threads, --threads, -j: 65 is above 64", undefined],
  ["a --nan wern", 'Invalid value for --nan: "wern" is none of warn, error', "did you mean warn?"],
  ["", "Missing argument IN: what to read", undefined],
  ["a b c d", "Got unexpected extra arguments: c d", undefined],
])("%s is refused", (line, message, hint) => {
  expect(problem(line)).toMatchObject({ message, ...(hint === undefined ? {} : { hint }) });
  expect(problem(line)?.hint).toBe(hint);
});

test("help wins over a missing argument or a bad value, but not over an unknown option", () => {
  expect(parseCommandLine(SPEC, ["--help"])).toEqual({ kind: "help" });
  expect(parseCommandLine(SPEC, ["-h", "-j", "x"])).toEqual({ kind: "help" });
  expect(() => parseCommandLine(SPEC, ["--help", "--bogus"])).toThrow(UsageError);
});

test.each([
  ["1", 1],
  ["1000000", 1e6],
  ["20K", 20e3],
  ["20k", 20e3],
  ["500M", 500e6],
  ["5B", 5e9],
  ["5b", 5e9],
  ["4G", 4e9],
  ["80GB", 80e9],
  ["3kB", 3e3],
  ["3mb", 3e6],
  ["2T", 2e12],
  ["2TB", 2e12],
  ["1KiB", 1024],
  ["16MiB", 16 << 20],
  ["4GiB", 4 * 2 ** 30],
  ["2tib", 2 * 2 ** 40],
])("the size %s is %d bytes", (written, bytes) => {
  expect(size(written)).toEqual({ value: bytes });
});

test.each([
  "",
  "B",
  "G",
  "GB",
  "5P",
  "5iB",
  "5Gi",
  "5BB",
  "5constructor",
  "1.5B",
  "-1",
  "0",
  "0B",
  " 5B",
  "5 B",
  "1e9",
  "99999999999999999",
])("the size %p is refused", (written) => {
  expect(size(written)).toMatchObject({ wrong: `"${written}" is not a size` });
});

test.each([
  ["7", 7],
  [" 7 ", 7],
  ["+7", 7],
  ["007", 7],
  ["1_000", 1000],
])("the whole number %p is %d, as Python reads it", (written, value) => {
  expect(integer(0)(written)).toEqual({ value });
});

test("an option that takes a list takes every argument up to the next option, each time it is given", () => {
  expect(parse("in --models a b -f").options.models).toEqual(["a", "b"]);
  expect(parse("--models a --models=b,c --models d - -j 3 in").options).toMatchObject({
    models: ["a", "b,c", "d", "-"],
    threads: 3,
  });
  expect(parse("--models a -- in").positionals).toEqual(["in"]);
  expect(parse("in --sizes 1K 2M").options.sizes).toEqual([1000, 2_000_000]);
});

test("a list without a value, or with a wrong one, is a mistake", () => {
  for (const line of ["in --models", "in --models --force", "in --models -f"]) {
    expect(problem(line)?.message).toBe("option --models requires a value");
  }
  expect(problem("in --sizes 1K much")?.message).toContain('Invalid value for --sizes: "much" is not a size');
});
