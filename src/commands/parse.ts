import { nearest, type Problem, SinterError } from "../errors.ts";
import type { CommandSpec, Flag, List, Option, Options, OptionValues, Repeated, Value } from "./option.ts";

/** What a command line asks for. */
export type Parsed<O extends Options> =
  | { kind: "help" }
  | { kind: "run"; options: OptionValues<O>; positionals: readonly string[] };

/** A mistake on the command line. */
export class UsageError extends SinterError {
  constructor(problem: Problem) {
    super(problem, 2);
  }
}

interface Tokens {
  values: Map<Option, unknown>;
  positionals: string[];
  help: boolean;
}

/**
 * Reads a command line the way click does: options before, between and after arguments, `--name value` and
 * `--name=value`, `-j4`, `-vv`, `--` to end options; the last of a repeated option wins; no abbreviations. An option
 * that takes a list takes every argument up to the next option.
 * @throws UsageError for an unknown option, a missing or bad value, and missing or surplus arguments.
 */
export function parseCommandLine<O extends Options>(spec: CommandSpec<O>, args: readonly string[]): Parsed<O> {
  const tokens = readTokens(spec.options, args);
  if (tokens.help) return { kind: "help" };
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(spec.options)) {
    values[key] = optionValue(option, tokens.values.get(option));
  }
  checkPositionals(spec, tokens.positionals);
  return { kind: "run", options: values as OptionValues<O>, positionals: tokens.positionals };
}

function readTokens(options: Options, args: readonly string[]): Tokens {
  const { long, short } = indexByName(options);
  const tokens: Tokens = { values: new Map(), positionals: [], help: false };
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") {
      tokens.positionals.push(...rest);
      break;
    }
    const isLong = arg.startsWith("--") || long.has(arg.split("=", 1)[0] as string);
    if (isLong) readLong(arg, long, rest, tokens);
    else if (arg.startsWith("-") && arg.length > 1) readShort(arg, short, rest, tokens);
    else tokens.positionals.push(arg);
  }
  return tokens;
}

type LongName = { option: Exclude<Option, { kind: "count" }>; on: boolean };

function indexByName(options: Options): { long: Map<string, LongName>; short: Map<string, Option> } {
  const long = new Map<string, LongName>();
  const short = new Map<string, Option>();
  for (const option of Object.values(options)) {
    if (option.short !== undefined) short.set(`-${option.short}`, option);
    if (option.kind === "count") continue;
    long.set(`--${option.name}`, { option, on: true });
    if (option.kind === "flag" && option.negatable) long.set(`--no-${option.name}`, { option, on: false });
    if (option.kind === "value" && option.dashed) long.set(`-${option.dashed}`, { option, on: true });
    if (option.kind === "flag" && option.dashed?.on) long.set(`-${option.dashed.on}`, { option, on: true });
    if (option.kind === "flag" && option.dashed?.off) long.set(`-${option.dashed.off}`, { option, on: false });
    if (option.kind === "value") for (const alias of option.aliases ?? []) long.set(`--${alias}`, { option, on: true });
  }
  return { long, short };
}

function readLong(arg: string, long: ReadonlyMap<string, LongName>, rest: string[], tokens: Tokens): void {
  const equals = arg.indexOf("=");
  const name = equals === -1 ? arg : arg.slice(0, equals);
  const attached = equals === -1 ? undefined : arg.slice(equals + 1);
  const found = long.get(name);
  if (found === undefined && name !== "--help") throw unknownOption(name, [...long.keys(), "--help"]);
  if ((found === undefined || found.option.kind === "flag") && attached !== undefined) {
    throw new UsageError({ code: "option-value", message: `option ${name} does not take a value` });
  }
  if (found === undefined) tokens.help = true;
  else if (found.option.kind === "flag") tokens.values.set(found.option, found.on);
  else if (found.option.kind === "list") {
    const before = (tokens.values.get(found.option) as readonly string[] | undefined) ?? [];
    tokens.values.set(found.option, [...before, ...(attached === undefined ? nextValues(name, rest) : [attached])]);
  } else setValue(found.option, attached ?? nextValue(name, rest), tokens);
}

/** The last of a repeated option wins, unless it is one that keeps all. */
function setValue(option: Value | Repeated, value: string, tokens: Tokens): void {
  const before = (tokens.values.get(option) as readonly string[] | undefined) ?? [];
  tokens.values.set(option, option.kind === "repeated" ? [...before, value] : value);
}

function readShort(arg: string, short: ReadonlyMap<string, Option>, rest: string[], tokens: Tokens): void {
  for (let i = 1; i < arg.length; i++) {
    const name = `-${arg[i]}`;
    const option = short.get(name);
    if (option === undefined && name === "-h") {
      tokens.help = true;
    } else if (option === undefined) {
      throw unknownOption(name, []);
    } else if (option.kind === "value" || option.kind === "repeated") {
      const attached = arg.slice(i + 1);
      setValue(option, attached === "" ? nextValue(name, rest) : attached, tokens);
      return;
    } else if (option.kind === "count") {
      tokens.values.set(option, ((tokens.values.get(option) as number | undefined) ?? 0) + 1);
    } else {
      tokens.values.set(option, true);
    }
  }
}

function nextValue(name: string, rest: string[]): string {
  const value = rest.shift();
  if (value === undefined) throw valueMissing(name);
  return value;
}

function valueMissing(name: string): UsageError {
  return new UsageError({ code: "option-value", message: `option ${name} requires a value` });
}

/** Every argument up to the next option: at least one. */
function nextValues(name: string, rest: string[]): string[] {
  const end = rest.findIndex((arg) => arg.startsWith("-") && arg.length > 1);
  const values = rest.splice(0, end === -1 ? rest.length : end);
  if (values.length === 0) throw valueMissing(name);
  return values;
}

function unknownOption(name: string, known: readonly string[]): UsageError {
  const near = nearest(name, known);
  const hint = near === undefined ? undefined : `did you mean ${near}?`;
  return new UsageError({ code: "unknown-option", message: `No such option: ${name}`, hint });
}

function optionValue(option: Option, given: unknown): unknown {
  if (option.kind === "count") return given ?? 0;
  if (option.kind === "list" || option.kind === "repeated")
    return ((given ?? []) as string[]).map((text) => readValue(option, text));
  if (given === undefined || option.kind === "flag") return given ?? option.default;
  return readValue(option, given as string);
}

function readValue(option: Value | List | Repeated, text: string): unknown {
  const read = option.read(text);
  if ("value" in read) return read.value;
  const message = `Invalid value for ${optionNames(option)}: ${read.wrong}`;
  throw new UsageError({ code: "option-value", message, hint: read.hint });
}

/** `--num-threads, -j`: every name that an option goes by, without `--no-` forms. */
export function optionNames(option: Flag | Value | List | Repeated): string {
  const long = [option.name, ...(option.kind === "value" ? (option.aliases ?? []) : [])].map((name) => `--${name}`);
  const dashed = option.kind === "value" ? option.dashed : option.kind === "flag" ? option.dashed?.on : undefined;
  const short = [option.short, dashed].flatMap((name) => (name === undefined ? [] : [`-${name}`]));
  return [...long, ...short].join(", ");
}

function checkPositionals(spec: CommandSpec, given: readonly string[]): void {
  const missing = spec.positionals.slice(given.length).find((positional) => positional.required);
  if (missing) {
    throw new UsageError({ code: "missing-argument", message: `Missing argument ${missing.name}: ${missing.doc}` });
  }
  const surplus = given.slice(spec.positionals.length);
  if (surplus.length > 0) {
    const noun = surplus.length === 1 ? "argument" : "arguments";
    throw new UsageError({ code: "surplus-argument", message: `Got unexpected extra ${noun}: ${surplus.join(" ")}` });
  }
}
