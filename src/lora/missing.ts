import type { Model } from "../model/types.ts";
import { isTarget } from "./selection.ts";
import type { AdapterConfig } from "./types.ts";

/**
 * Modules of a model that an adapter's configuration names one by one, and of which the adapter has nothing.
 * @param isChanged whether the adapter changes a tensor.
 */
export function missingModules(
  { tensors }: Model,
  config: AdapterConfig,
  isChanged: (tensor: string) => boolean,
): string[] {
  const { targetModules, modulesToSave } = config;
  if (typeof targetModules === "string") return [];
  const isSaved = (path: string) => modulesToSave.some((one) => `.${path}.`.includes(`.${one}.`));
  return [...tensors].flatMap(([name, { shape }]) => {
    if (!name.endsWith(".weight") || isChanged(name)) return [];
    // Classes may have them in one parameter, which such names do not select.
    if (/\.experts\.\d+\./.test(name)) return [];
    const path = name.slice(0, -".weight".length);
    const isNamed = shape.length === 2 && targetModules !== undefined && isTarget(config, path);
    return isNamed || isSaved(path) ? [path] : [];
  });
}
