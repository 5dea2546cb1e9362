import { basename } from "node:path";

/** Models by the last part of their names, or by more where that does not tell two of them apart. In their order. */
export function shortNames(models: readonly string[]): string[] {
  const short = models.map((model) => basename(model));
  const same = (i: number, j: number) => short[i] === short[j] && models[i] !== models[j];
  return models.map((model, i) =>
    models.some((_, j) => same(i, j)) || short[i] === "" ? model : (short[i] as string),
  );
}
