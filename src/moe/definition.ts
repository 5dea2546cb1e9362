import { expandBraces } from "../architecture/template.ts";

/** A mixture as `architectures/moe/*.json` describes it; the schema there says what each key means. */
export interface MixtureDefinition {
  name: string;
  aliases: readonly string[];
  architecture: string;
  inputs: Readonly<Record<string, Readonly<Record<string, ConfigDefault>>>>;
  experts: { weights: Pairs; residual: readonly string[]; router: string };
  shared?: {
    weights: Pairs;
    gate?: string;
    stand_in?: Readonly<Record<string, number>>;
  };
  zeros?: Pairs;
  config: Readonly<Record<string, unknown>>;
  leave_out: readonly string[];
}

export type Pairs = Readonly<Record<string, string>>;
export type ConfigDefault = string | number | { value: number; unless: string };

/**
 * All mixtures, in the order in which they are tried. The paths stand here in full so that `bun build --compile` takes
 * the files into the executable.
 */
export function mixtureDefinitions(): readonly MixtureDefinition[] {
  return [
    require("../../architectures/moe/mixtral.json"),
    require("../../architectures/moe/deepseek.json"),
    require("../../architectures/moe/qwen2.json"),
    require("../../architectures/moe/qwen3.json"),
  ];
}

/** `{a,b}.x: c.{d,e}` as `a.x: c.d` and `b.x: c.e`. @throws where the lists differ in length. */
export function expandPairs(pairs: Pairs): Map<string, string> {
  const expanded = Object.entries(pairs).flatMap(([key, value]) => {
    const [keys, values] = [expandBraces(key), expandBraces(value)];
    if (keys.length !== values.length) throw new Error(`"${key}" and "${value}" do not stand for as many names`);
    return keys.map((one, i) => [one, values[i] as string] as const);
  });
  return new Map(expanded);
}
