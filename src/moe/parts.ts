import { fillNumber } from "../architecture/template.ts";
import { expandPairs, type MixtureDefinition, type Pairs } from "./definition.ts";

/** What a weight of the mixture is made of, where it is not the base's weight of that key. */
export type Part =
  /** The dense weight `source` of an expert. */
  | { kind: "expert"; expert: number; source: string; residual: boolean }
  | { kind: "shared"; source: string; residual: boolean }
  | { kind: "router" }
  | { kind: "shared gate" };

/** The parts of a mixture by the keys of its weights. */
export function mixtureParts(definition: MixtureDefinition, experts: number): ReadonlyMap<string, Part> {
  const parts = new Map<string, Part>([[definition.experts.router, { kind: "router" }]]);
  const isResidual = (source: string) => definition.experts.residual.includes(source);
  for (const [key, source] of expandPairs(definition.experts.weights)) {
    for (let expert = 0; expert < experts; expert++) {
      parts.set(fillNumber(key, "expert", expert), { kind: "expert", expert, source, residual: isResidual(source) });
    }
  }
  const { shared } = definition;
  if (shared === undefined) return parts;
  for (const [key, source] of expandPairs(shared.weights)) {
    parts.set(key, { kind: "shared", source, residual: isResidual(source) });
  }
  if (shared.gate !== undefined) parts.set(shared.gate, { kind: "shared gate" });
  return parts;
}

/** Modules of a dense model that experts are made of: `mlp.gate_proj.` stands for its weight and its bias. */
export function expertModules({ experts }: MixtureDefinition): ReadonlySet<string> {
  return new Set([...expandPairs(experts.weights).values()].map(moduleOf));
}

/** The key without its last word. */
export function moduleOf(key: string): string {
  return key.slice(0, key.lastIndexOf("."));
}

/** Keys that may be zero, and the keys of the weights that have a row for each element. */
export function zeroKeys(pairs: Pairs | undefined): ReadonlyMap<string, string> {
  return pairs === undefined ? new Map() : expandPairs(pairs);
}
