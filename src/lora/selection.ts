import { SinterError } from "../errors.ts";
import type { AdapterConfig } from "./types.ts";

/**
 * Milliseconds for all regular expressions of one adapter, on all modules together. Those that people write take a
 * thousandth of that; one that is made to take long takes half a second for each name.
 */
const PATIENCE = 2000;

/** Milliseconds that they have taken. */
const SPENT = new WeakMap<AdapterConfig, number>();

/**
 * alpha / rank, or alpha / sqrt(rank), with the module's own rank and alpha where patterns give it some.
 * @param path of the module, or of the parameter where it is one that has factors.
 */
export function scaleOf(config: AdapterConfig, path: string): { rank: number; scale: number } {
  const rank = byPattern(config, config.rankPattern, path) ?? config.rank;
  const alpha = byPattern(config, config.alphaPattern, path) ?? config.alpha;
  return { rank, scale: alpha / (config.useRslora ? Math.sqrt(rank) : rank) };
}

/** What patterns know a module with a weight of its own by: its path, or the weight's name where that was selected. */
export function patternName(config: AdapterConfig, path: string): string {
  return isTargetParameter(config, `${path}.weight`) ? `${path}.weight` : path;
}

/** PEFT takes the first key that, as a regular expression, the name is or ends with after a dot; else the name itself. */
function byPattern(config: AdapterConfig, patterns: ReadonlyMap<string, number>, path: string): number | undefined {
  for (const [key, value] of patterns) {
    if (matched(config, () => pythonPattern(`^(.*\\.)?(${key})$`), path)) return value;
  }
  return patterns.get(path);
}

/** Whether the configuration selects a parameter by name. */
export function isTargetParameter({ targetParameters }: AdapterConfig, name: string): boolean {
  return targetParameters.some((one) => name === one || name.endsWith(`.${one}`));
}

/** Whether the configuration selects a module, as PEFT decides it when it loads an adapter. */
export function isTarget(config: AdapterConfig, path: string): boolean {
  if (config.excludeModules !== undefined && named(config, config.excludeModules, path)) return false;
  if (config.targetModules === undefined) return true;
  if (!named(config, config.targetModules, path)) return false;
  return typeof config.targetModules === "string" || isLayer(config, path);
}

/** A list names modules by the ends of their paths; a text is a regular expression for all of the path. */
function named(config: AdapterConfig, modules: readonly string[] | string, path: string): boolean {
  if (typeof modules !== "string") return modules.some((name) => path === name || path.endsWith(`.${name}`));
  const pattern = pythonPattern(`^(?:${modules})$`);
  return pattern === undefined || matched(config, () => pattern, path) !== undefined;
}

function isLayer(config: AdapterConfig, path: string): boolean {
  const { layersToTransform, layersPattern } = config;
  if (layersToTransform === undefined) return true;
  const patterns =
    layersPattern.length === 0 ? ["[^.]*"] : layersPattern.map((pattern) => pythonPattern(pattern)?.source ?? pattern);
  for (const pattern of patterns) {
    const match = matched(config, () => new RegExp(`^(?:.*?\\.)?${pattern}\\.(\\d+)\\.`), path);
    if (match !== undefined) return layersToTransform.includes(Number(match[1]));
  }
  return false;
}

/** @throws SinterError naming the adapter, where its regular expressions have taken too long. */
function matched(config: AdapterConfig, pattern: () => RegExp | undefined, path: string): RegExpExecArray | undefined {
  const begin = performance.now();
  const match = pattern()?.exec(path) ?? undefined;
  const spent = (SPENT.get(config) ?? 0) + performance.now() - begin;
  SPENT.set(config, spent);
  if (spent <= PATIENCE) return match;
  throw new SinterError({
    code: "adapter-pattern-slow",
    message: "the regular expressions of the adapter take too long: perhaps they are made to",
    path: config.file,
    hint: "target_modules, exclude_modules, layers_pattern, rank_pattern and alpha_pattern may name modules plainly",
  });
}

/** A regular expression as Python writes it; undefined where JavaScript has none like it. */
export function pythonPattern(pattern: string): RegExp | undefined {
  const flags = /\(\?([imsx]+)\)/.exec(pattern)?.[1] ?? "";
  const text = pattern
    .replace(/\(\?[imsx]+\)/, "")
    .replaceAll("(?P<", "(?<")
    .replaceAll("\\Z", "$")
    .replaceAll("\\A", "^");
  try {
    return new RegExp(text, flags.replace("x", ""));
  } catch {
    return undefined;
  }
}
