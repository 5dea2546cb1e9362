/**
 * How a plain YAML 1.1 scalar is read: PyYAML's resolver, whose patterns are narrower than both YAML 1.1's and 1.2's.
 * `y` and `n` are text, `017` is 15, and a float needs a dot and, in its exponent, a sign: `1e-3` and `1.0e3` are text.
 * Timestamps stay text: no setting takes one.
 */
export type ScalarValue = string | number | boolean | null;

const TRUE = /^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/;
const FALSE = /^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/;
const NULL = /^(?:~|null|Null|NULL|)$/;
const INFINITE = /^[-+]?\.(?:inf|Inf|INF)$/;
const NAN = /^\.(?:nan|NaN|NAN)$/;
const FLOAT = /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?$/;
const BINARY = /^[-+]?0b[01_]+$/;
const OCTAL = /^[-+]?0[0-7_]+$/;
const DECIMAL = /^[-+]?(?:0|[1-9][0-9_]*)$/;
const HEX = /^[-+]?0x[0-9a-fA-F_]+$/;
/** Base 60, as in `1:30`; an integer part starts with a digit from 1, unless a dot makes it a float. */
const SEXAGESIMAL = /^[-+]?(?:[1-9][0-9_]*(?::[0-5]?[0-9])+|[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*)$/;
const MAY_BE_NUMBER = /^[-+.0-9]/;

/** The value of a plain scalar (unquoted, on one line or folded). */
export function resolvePlain(source: string): ScalarValue {
  if (MAY_BE_NUMBER.test(source)) return resolveNumber(source) ?? source;
  if (TRUE.test(source)) return true;
  if (FALSE.test(source)) return false;
  return NULL.test(source) ? null : source;
}

function resolveNumber(source: string): number | undefined {
  const sign = source.startsWith("-") ? -1 : 1;
  const digits = source.replace(/^[-+]/, "").replaceAll("_", "");
  if (FLOAT.test(source)) return sign * Number(digits);
  if (SEXAGESIMAL.test(source)) return sign * digits.split(":").reduce((total, part) => total * 60 + Number(part), 0);
  if (INFINITE.test(source)) return sign * Number.POSITIVE_INFINITY;
  if (NAN.test(source)) return Number.NaN;
  const integer = magnitude(source, digits);
  return integer === undefined ? undefined : sign * integer + 0; // An integer has no negative zero.
}

function magnitude(source: string, digits: string): number | undefined {
  if (DECIMAL.test(source)) return Number(digits);
  if (BINARY.test(source)) return Number.parseInt(digits.slice(2), 2);
  if (OCTAL.test(source)) return Number.parseInt(digits, 8);
  return HEX.test(source) ? Number.parseInt(digits.slice(2), 16) : undefined;
}

const NUMERIC_TEXT = /^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$/;
const SINGLE_UNDERSCORE = /(?<=[0-9])_(?=[0-9])/g;
const NUMERIC_WORD = /^[-+]?(?:inf|infinity|nan)$/i;

/** The number that a text spells, as a numeric field of mergekit accepts it (`1e-3`, quoted `"0.5"`). */
export function numericText(text: string): number | undefined {
  const bare = text.trim().replace(SINGLE_UNDERSCORE, "");
  if (NUMERIC_TEXT.test(bare)) return Number(bare);
  if (!NUMERIC_WORD.test(bare)) return undefined;
  if (bare.toLowerCase().endsWith("nan")) return Number.NaN;
  return bare.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

const CORE = "tag:yaml.org,2002:";

/**
 * The value of a scalar with an explicit tag.
 * @returns undefined where the tag is unknown or the text does not fit it.
 */
export function resolveTagged(source: string, tag: string): ScalarValue | undefined {
  const plain = resolvePlain(source);
  switch (tag) {
    case "!": // PyYAML reads a non-specific tag as none, even before quoted text.
      return plain;
    case `${CORE}str`:
      return source;
    case `${CORE}null`:
      return null;
    case `${CORE}bool`:
      return typeof plain === "boolean" ? plain : undefined;
    case `${CORE}int`:
      return typeof plain === "number" && Number.isInteger(plain) ? plain : undefined;
    case `${CORE}float`:
      return typeof plain === "number" ? plain : numericText(source);
    default:
      return undefined;
  }
}
