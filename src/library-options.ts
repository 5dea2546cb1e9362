import { nearest, type Problem, SinterError } from "./errors.ts";
import type { MergeRunOptions, PlanOptions } from "./index.ts";

/** What a value has to be, in words, where it is not. */
type Check = (value: unknown) => string | undefined;

const isA =
  (type: "boolean" | "string" | "function", words: string): Check =>
  (value) =>
    typeof value === type ? undefined : words;
const flag = isA("boolean", "true or false");
const text = isA("string", "text");
const callback = isA("function", "a function");
const whole =
  (least: number, most = Number.MAX_SAFE_INTEGER): Check =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : `a whole number of at least ${least}`;
const oneOf =
  (...words: string[]): Check =>
  (value) =>
    words.includes(value as string) ? undefined : `one of ${words.join(", ")}`;

/** Every option of `plan` and `merge`. A program in JavaScript has no compiler to tell it. */
const CHECKS: Readonly<Record<keyof (PlanOptions & MergeRunOptions), Check>> = {
  allowCrimes: flag,
  architectures: text,
  cacheDir: text,
  copyTokenizer: flag,
  cpuTarget: oneOf("auto", "x86-64-v2", "x86-64-v3", "x86-64-v4", "arm64"),
  device: text,
  download: flag,
  force: flag,
  lmHead: oneOf("auto", "tied", "materialize"),
  memory: whole(0),
  memoryGpu: whole(1),
  multiGpu: flag,
  name: text,
  nan: oneOf("warn", "error", "ignore"),
  onProgress: callback,
  onWarning: callback,
  outShardSize: whole(1),
  raw: oneOf("all", "intersection", "union"),
  resume: flag,
  safeSerialization: flag,
  seed: whole(0),
  signal: (value) => (value instanceof AbortSignal ? undefined : "an AbortSignal"),
  strict: flag,
  threads: whole(0, 4096),
  writeModelCard: flag,
};

/** @throws SinterError with every option that does not exist or cannot have its value. What is undefined has its default. */
export function checkOptions(options: object): void {
  const problems = Object.entries(options).flatMap(([name, value]): Problem[] => {
    if (!Object.hasOwn(CHECKS, name)) {
      const near = nearest(name, Object.keys(CHECKS));
      const hint = near === undefined ? `there are ${Object.keys(CHECKS).join(", ")}` : `did you mean ${near}?`;
      return [{ code: "unknown-option", message: `no such option: ${name}`, hint }];
    }
    const wanted = value === undefined ? undefined : CHECKS[name as keyof typeof CHECKS](value);
    return wanted === undefined
      ? []
      : [{ code: "option-value", message: `the option ${name} must be ${wanted}`, hint: given(value) }];
  });
  if (problems.length > 0) throw new SinterError(problems);
}

/** @throws SinterError where something else stands in the place of a configuration. */
export function checkConfig(config: unknown): void {
  if (typeof config === "string" || (typeof config === "object" && config !== null && !Array.isArray(config))) return;
  const message = "a configuration is the path of a file, { text }, or an object with the keys of one";
  throw new SinterError({ code: "config-type", message, hint: given(config) });
}

/** @throws SinterError where something else stands in the place of the output folder. */
export function checkFolder(out: unknown): void {
  if (typeof out === "string" && out !== "") return;
  throw new SinterError({
    code: "missing-argument",
    message: "the second argument of merge must be the output folder",
    hint: given(out),
  });
}

function given(value: unknown): string {
  const shown = typeof value === "function" ? "a function" : (JSON.stringify(value) ?? String(value));
  return `it was given as ${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown}`;
}
