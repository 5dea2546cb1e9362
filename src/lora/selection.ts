import type { AdapterConfig } from "./types.ts";

/** alpha / rank, or alpha / sqrt(rank), with the module's own rank and alpha where patterns give it some. */
export function scaleOf(config: AdapterConfig, path: string): { rank: number; scale: number } {
  const rank = byPattern(config.rankPattern, path) ?? config.rank;
  const alpha = byPattern(config.alphaPattern, path) ?? config.alpha;
  return { rank, scale: alpha / (config.useRslora ? Math.sqrt(rank) : rank) };
}

/** PEFT takes the first key that, as a regular expression, the name is or ends with after a dot. */
function byPattern(patterns: ReadonlyMap<string, number>, path: string): number | undefined {
  if (patterns.size === 0) return undefined;
  const exact = patterns.get(path);
  if (exact !== undefined) return exact;
  for (const [key, value] of patterns) {
    if (pythonPattern(`^(.*\\.)?(${key})$`)?.test(path)) return value;
  }
  return undefined;
}

/** Whether the configuration selects a module, as PEFT decides it when it loads an adapter. */
export function isTarget(config: AdapterConfig, path: string): boolean {
  if (config.excludeModules !== undefined && named(config.excludeModules, path)) return false;
  if (config.targetModules === undefined) return true;
  if (!named(config.targetModules, path)) return false;
  return typeof config.targetModules === "string" || isLayer(config, path);
}

/** A list names modules by the ends of their paths; a text is a regular expression for all of the path. */
function named(modules: readonly string[] | string, path: string): boolean {
  if (typeof modules === "string") return pythonPattern(`^(?:${modules})$`)?.test(path) ?? true;
  return modules.some((name) => path === name || path.endsWith(`.${name}`));
}

function isLayer({ layersToTransform, layersPattern }: AdapterConfig, path: string): boolean {
  if (layersToTransform === undefined) return true;
  const patterns =
    layersPattern.length === 0 ? ["[^.]*"] : layersPattern.map((pattern) => pythonPattern(pattern)?.source ?? pattern);
  for (const pattern of patterns) {
    const match = new RegExp(`^(?:.*?\\.)?${pattern}\\.(\\d+)\\.`).exec(path);
    if (match !== null) return layersToTransform.includes(Number(match[1]));
  }
  return false;
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
