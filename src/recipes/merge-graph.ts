import type { MultiConfig, MultiMerge } from "../config/multi.ts";
import type { MergeConfig, NamedModel } from "../config/types.ts";
import { type Report, SinterError } from "../errors.ts";
import { neededModels } from "../plan/models.ts";

/** A merge and the merges that it is made of. */
export interface GraphNode {
  merge: MultiMerge;
  /** In the order in which the merge names them. */
  needs: readonly GraphNode[];
}

/**
 * Merges in an order in which each comes after those that it is made of, otherwise in the order of the file.
 * @throws SinterError that names every merge of a cycle.
 */
export function mergeOrder({ merges }: MultiConfig, report: Report): readonly GraphNode[] {
  const byName = new Map(merges.flatMap((merge) => (merge.name === undefined ? [] : [[merge.name, merge] as const])));
  const done = new Map<MultiMerge, GraphNode>();
  const visit = (merge: MultiMerge, path: readonly MultiMerge[]): GraphNode | undefined => {
    const known = done.get(merge);
    if (known !== undefined) return known;
    if (path.includes(merge)) {
      reportCycle([...path.slice(path.indexOf(merge)), merge], report);
      return undefined;
    }
    const needs: GraphNode[] = [];
    for (const name of mergesUsed(merge.config, byName)) {
      const node = visit(byName.get(name) as MultiMerge, [...path, merge]);
      if (node === undefined) return undefined;
      needs.push(node);
    }
    const node = { merge, needs };
    done.set(merge, node);
    return node;
  };
  for (const merge of merges) if (visit(merge, []) === undefined) throw new SinterError(report.errors);
  return [...done.values()];
}

function reportCycle(cycle: readonly MultiMerge[], report: Report): void {
  const names = cycle.map(({ name }) => name ?? "the final merge");
  report.error({
    code: "merge-cycle",
    message:
      cycle.length === 2 ? `${names[0]} is made of itself` : `merges are made of each other: ${names.join(" needs ")}`,
    at: cycle[0]?.at,
    hint: "a merge can be made of models and of merges that need not it",
  });
}

/** Names of merges that a configuration names as models, each once. */
function mergesUsed(config: MergeConfig, merges: ReadonlyMap<string, unknown>): Set<string> {
  return new Set(allModels(config).flatMap(({ ref }) => (merges.has(ref.model.path) ? [ref.model.path] : [])));
}

/** Every model that a configuration names, those that only the tokenizer is made of included. */
export function allModels(config: MergeConfig): NamedModel[] {
  const models = [...neededModels(config).values()];
  const { tokenizer } = config;
  if (typeof tokenizer?.source === "object") models.push(tokenizer.source);
  for (const { source } of tokenizer?.tokens.values() ?? []) {
    if (source !== undefined && source.kind !== "zero") models.push(source.model);
  }
  return models;
}

/** A merge and everything that it is made of, in the order of the graph. */
export function closure(node: GraphNode): GraphNode[] {
  const all = new Set<GraphNode>();
  const add = (one: GraphNode) => {
    for (const need of one.needs) add(need);
    all.add(one);
  };
  add(node);
  return [...all];
}
