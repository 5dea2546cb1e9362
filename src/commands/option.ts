import { nearest } from "../errors.ts";

/** What a command takes, declared once: parsing, checks and `--help` follow from it. */
export interface Flag {
  kind: "flag";
  /** Long name without dashes. */
  name: string;
  short?: string | undefined;
  /** Names of several letters after one dash, as click has them: for on and for off. */
  dashed?: { on?: string; off?: string } | undefined;
  /** Has a `--no-` form. */
  negatable: boolean;
  /** `undefined`: tells a flag that was not given from both of its forms. */
  default: boolean | undefined;
  doc: string;
  group: string;
  /** Left out of `--help`. */
  hidden?: boolean | undefined;
}

/** May be repeated; the value is how often (`-vv`). It has a short name only. */
export interface Count {
  kind: "count";
  short: string;
  doc: string;
  group: string;
}

export interface Value {
  kind: "value";
  name: string;
  short?: string | undefined;
  /** A name of several letters after one dash, as click has them: `pm` for `-pm`. */
  dashed?: string | undefined;
  /** Other long names for the same option. */
  aliases?: readonly string[] | undefined;
  /** What stands for the value in `--help`. */
  metavar: string;
  read: Reader<unknown>;
  default: unknown;
  /** How `--help` writes the default; undefined where there is none to write. */
  shownDefault?: string | undefined;
  doc: string;
  group: string;
}

/** Takes the arguments that follow it, up to the next option; given again, it takes more. None where it is not given. */
export interface List {
  kind: "list";
  name: string;
  short?: undefined;
  /** How `--help` writes one of its values. */
  metavar: string;
  /** Reads one of them. */
  read: Reader<unknown>;
  doc: string;
  group: string;
}

/** Takes one value, and may be given several times. None where it is not given. */
export interface Repeated {
  kind: "repeated";
  name: string;
  short?: string | undefined;
  /** How `--help` writes the value. */
  metavar: string;
  /** Reads one of them. */
  read: Reader<unknown>;
  doc: string;
  group: string;
}

/** From the text on the command line to a value, or to a sentence that says what is wrong with it. */
export interface Reader<T> {
  (text: string): { value: T } | { wrong: string; hint?: string | undefined };
  /** What shells offer there. It may take more. */
  words?: readonly string[];
}

export type Option = Flag | Count | Value | List | Repeated;
export type Options = Readonly<Record<string, Option>>;

export type OptionValues<O extends Options> = {
  readonly [K in keyof O]: O[K] extends Flag
    ? boolean | Extract<O[K]["default"], undefined>
    : O[K] extends Count
      ? number
      : O[K] extends { kind: "list" | "repeated"; read: Reader<infer T> }
        ? readonly T[]
        : O[K] extends { read: Reader<infer T>; default: infer D }
          ? T | Extract<D, undefined>
          : never;
};

export interface Positional {
  /** In capitals, as `--help` shows it. */
  name: string;
  doc: string;
  required: boolean;
  /** What shells offer there, where it is no path. */
  words?: readonly string[] | undefined;
}

export interface CommandSpec<O extends Options = Options> {
  /** As it is typed, e.g. `sinter merge`. */
  name: string;
  /** What it does, in one sentence. */
  summary: string;
  positionals: readonly Positional[];
  options: O;
  examples: readonly { command: string; doc: string }[];
  /** Closing paragraphs of `--help`. */
  notes?: readonly string[] | undefined;
}

export const text: Reader<string> = (value) => ({ value });

/** A whole number in `[min, max]`. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Reader<number> {
  return (value) => {
    if (!/^\s*[+-]?\d+(_\d+)*\s*$/.test(value)) return { wrong: `"${value}" is not a whole number` };
    const number = Number(value.replaceAll("_", ""));
    if (number < min) return { wrong: `${value} is below ${min}` };
    if (number > max) return { wrong: `${value} is above ${max}` };
    return { value: number };
  };
}

/** A finite number. */
export const decimal: Reader<number> = (value) => {
  const number = /^\s*[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value)
    ? Number(value.replaceAll("_", ""))
    : Number.NaN;
  return Number.isFinite(number) ? { value: number } : { wrong: `"${value}" is not a number` };
};

/** A number in `[min, max]`. */
export function decimalIn(min: number, max: number): Reader<number> {
  return (value) => {
    const read = decimal(value);
    if ("wrong" in read || (read.value >= min && read.value <= max)) return read;
    return { wrong: `${value} is not between ${min} and ${max}` };
  };
}

/** Powers of 1000, with an `i` of 1024; and what mergekit has: `B` is a billion. */
const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["b", 1e9],
  ...["k", "m", "g", "t"].flatMap((letter, i): [string, number][] => [
    [letter, 1000 ** (i + 1)],
    [`${letter}b`, 1000 ** (i + 1)],
    [`${letter}ib`, 1024 ** (i + 1)],
  ]),
]);

/** Bytes: digits, or digits and a unit, in letters of either case. */
export const size: Reader<number> = (value) => {
  const [, digits, letters = ""] = /^(\d+)([a-z]*)$/i.exec(value) ?? [];
  const bytes = Number(digits) * (SIZE_UNITS.get(letters.toLowerCase()) ?? Number.NaN);
  if (bytes > 0 && Number.isSafeInteger(bytes)) return { value: bytes };
  const hint = "write bytes, or a number with K, M, G, T, KiB, MiB, GiB or TiB (B is G): 5G, 500M, 1000000";
  return { wrong: `"${value}" is not a size`, hint };
};

/** One of a few words. */
export function choice<const T extends string>(words: readonly T[]): Reader<T> {
  return offering(words, (value) => {
    const word = words.find((candidate) => candidate === value);
    if (word !== undefined) return { value: word };
    const near = nearest(value, words);
    const hint = near === undefined ? undefined : `did you mean ${near}?`;
    return { wrong: `"${value}" is none of ${words.join(", ")}`, hint };
  });
}

/** The same reader, with words for shells to offer. */
export function offering<T>(words: readonly string[], read: Reader<T>): Reader<T> {
  return Object.assign((value: string) => read(value), { words });
}
