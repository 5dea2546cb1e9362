import type { Model } from "../model/types.ts";
import { configValue } from "./config-values.ts";
import { isConstant } from "./constants.ts";
import type { Condition, DetailedWeight, FamilyDefinition, ModuleTemplate, WeightEntry } from "./definition.ts";
import { layerCondition, loopCount } from "./infer-conditions.ts";
import { findStacks, layeredName, type Stack } from "./infer-layers.ts";
import { inferVocabulary, type Vocabulary } from "./infer-vocabulary.ts";

/**
 * A definition for models that no family describes, from the names and shapes of their tensors: layers by the numbers
 * in names, parts by what stands before these, embeddings and heads by their rows, ties by config.json and by what is
 * absent. It says of the given models what they are, and of others of their kind what these suggest.
 * @param models of one class, with one config.json but for its numbers; at least one.
 */
export function inferDefinition(models: readonly [Model, ...Model[]]): FamilyDefinition {
  const [first] = models;
  const { config } = first;
  const vocabulary = inferVocabulary(models);
  const modules = inferModules(models, vocabulary);
  const tie = ["tie_word_embeddings", "text_config.tie_word_embeddings"].find(
    (key) => configValue(config, key) !== undefined,
  );
  return {
    model_types: typeof config.model_type === "string" ? [config.model_type] : [],
    architectures: [first.architecture ?? "Unknown"],
    config: { vocab_size: vocabulary.key, tie: tie ?? "tie_word_embeddings", defaults: {} },
    modules,
    // A model that brings its own code needs it.
    ...(config.auto_map === undefined ? {} : { files: ["*.py"] }),
  };
}

/** A part of the model: the stacks under one prefix and what shares it, or what is left over. */
interface Part {
  name: string;
  /** What its weights' names begin with; empty for the part that takes all else. */
  prefix: string;
  /** All of one length: layer by layer, they belong together. */
  stacks: readonly Stack[];
}

function inferModules(models: readonly Model[], vocabulary: Vocabulary): Record<string, ModuleTemplate> {
  const parts = inferParts(findStacks(models));
  const loose = new Map<Part, string[]>(parts.map((part) => [part, []]));
  const stacks = parts.flatMap((part) => part.stacks);
  for (const name of new Set(models.flatMap(({ tensors }) => [...tensors.keys()]))) {
    if (isInStack(name, stacks)) continue;
    const fits = parts.filter(({ prefix }) => name.startsWith(prefix));
    const [owner] = fits.toSorted((a, b) => b.prefix.length - a.prefix.length);
    loose.get(owner as Part)?.push(name);
  }
  const modules = parts
    .filter((part) => part.stacks.length > 0 || loose.get(part)?.length !== 0)
    .map((part): [string, ModuleTemplate] => [part.name, inferModule(part, loose.get(part) ?? [], models, vocabulary)]);
  return Object.fromEntries(modules);
}

function isInStack(name: string, stacks: readonly Stack[]): boolean {
  const parts = layeredName(name);
  return parts !== undefined && stacks.some((stack) => parts.stack === stack.name && parts.layer < stack.count);
}

/** One part where all stacks go together; else one for each prefix, and one for the rest. */
function inferParts(stacks: readonly Stack[]): Part[] {
  const groups = new Map<string, Stack[]>();
  for (const stack of stacks) {
    const prefix = stack.name.split(".").slice(0, -2).join(".");
    const [largest] = groups.get(prefix) ?? [stack];
    // A list of another length beside the layers is none of them: its weights go by their names.
    if (largest?.count === stack.count) groups.set(prefix, [...(groups.get(prefix) ?? []), stack]);
  }
  const [first] = groups.values();
  if (groups.size <= 1) return [{ name: "default", prefix: "", stacks: first ?? [] }];
  const parts: Part[] = [];
  for (const [prefix, group] of groups) {
    const taken = parts.map(({ name }) => name);
    const short = partName(prefix);
    const long = prefix.replaceAll(".", "_");
    const name = [short, long].find((one) => !taken.includes(one)) ?? `${long}_${parts.length}`;
    parts.push({ name, prefix: prefix === "" ? "" : `${prefix}.`, stacks: group });
  }
  return parts.some(({ prefix }) => prefix === "") ? parts : [...parts, { name: "other", prefix: "", stacks: [] }];
}

/** `model.vision_tower.encoder` is called vision_tower. */
function partName(prefix: string): string {
  const words = prefix.split(".").filter((word) => word !== "model" && word !== "");
  return words.find((word) => /vision|visual|text|language|audio|encoder|decoder/.test(word)) ?? words[0] ?? "default";
}

function inferModule(
  { stacks }: Part,
  names: readonly string[],
  models: readonly Model[],
  vocabulary: Vocabulary,
): ModuleTemplate {
  const [largest] = stacks;
  const loops = new Map<string, number | string>();
  const layer = stacks.flatMap((stack) => layerEntries(stack, models, loops));
  const entries = names.map((name) => looseEntry(name, models, vocabulary));
  const isBefore = (name: string) => name === vocabulary.embedding || BEFORE.test(name);
  const before = entries.filter((_, i) => isBefore(names[i] as string));
  const after = entries.filter((_, i) => !isBefore(names[i] as string));
  const { embedding, absentHead } = vocabulary;
  if (absentHead !== undefined && embedding !== undefined && names.includes(embedding)) {
    after.push({ name: absentHead, role: "head", tie: embedding });
  }
  return {
    ...(largest === undefined ? {} : { layer_count: largest.key ?? largest.count }),
    ...(loops.size > 0 ? { loops: Object.fromEntries(loops) } : {}),
    ...(before.length > 0 ? { before } : {}),
    ...(layer.length > 0 ? { layer } : {}),
    ...(after.length > 0 ? { after } : {}),
  };
}

/** What comes before the layers, as far as a name tells. */
const BEFORE = /embed|\bwte\b|\bwpe\b|patch|\bconv\d?\b|\bstem\b|\bln_pre\b|\bpre_|\bshared\b|cls_token|position/;

function looseEntry(name: string, models: readonly Model[], vocabulary: Vocabulary): WeightEntry {
  const role = name === vocabulary.embedding ? "embedding" : vocabulary.heads.includes(name) ? "head" : undefined;
  const absent = models.some(({ tensors }) => !tensors.has(name));
  const tie = role === "head" && name.endsWith("weight") ? vocabulary.embedding : undefined;
  const entry: DetailedWeight = {
    name,
    ...(role === undefined ? {} : { role }),
    ...(tie === undefined ? {} : { tie }),
    ...(absent && tie === undefined ? { optional: true } : {}),
    ...(isConstant(name) ? { buffer: true } : {}),
  };
  return Object.keys(entry).length === 1 ? name : entry;
}

/** The weights of the layers, those of one condition under it, and numbered lists as loops. */
function layerEntries(stack: Stack, models: readonly Model[], loops: Map<string, number | string>): WeightEntry[] {
  const config = models[0]?.config ?? {};
  const groups = new Map<string, { when: Condition | undefined; weights: WeightEntry[] }>();
  for (const { rest, layers } of withLoops(stack, loops, config)) {
    const when = layerCondition(layers, stack.count, config);
    const key = JSON.stringify(when ?? null);
    const group = groups.get(key) ?? { when, weights: [] };
    groups.set(key, group);
    const name = `${stack.name}\${layer}${rest}`;
    const first = rest.replace(/\$\{\w+\}/g, "0");
    const lacks = ({ tensors }: Model) => [...layers].some((layer) => !tensors.has(`${stack.name}${layer}${first}`));
    const optional = models.length > 1 && models.some(lacks);
    if (isConstant(first)) group.weights.push({ name, buffer: true });
    else group.weights.push(optional ? { name, optional: true } : name);
  }
  return [...groups.values()].flatMap(({ when, weights }): WeightEntry[] =>
    when === undefined ? weights : [{ when, weights }],
  );
}

/** Templates whose numbers run from 0 without gaps, in the same layers each, become one with a loop. */
function withLoops(
  { templates }: Stack,
  loops: Map<string, number | string>,
  config: Model["config"],
): { rest: string; layers: ReadonlySet<number> }[] {
  const lists = new Map<string, Map<number, ReadonlySet<number>>>();
  for (const [rest, layers] of templates) {
    const list = NUMBERED.exec(rest);
    if (list === null) continue;
    const key = `${list[1]}#${list[3]}`;
    lists.set(key, (lists.get(key) ?? new Map()).set(Number(list[2]), layers));
  }
  const done = new Set<string>();
  return [...templates].flatMap(([rest, layers]) => {
    const list = NUMBERED.exec(rest);
    const [, start, , end] = list ?? [];
    const numbers = lists.get(`${start}#${end}`);
    if (list === null || numbers === undefined || !isLoop(numbers, layers)) return [{ rest, layers }];
    const loop = loopName(start as string, numbers.size, loops, config);
    const looped = `${start}\${${loop}}${end}`;
    if (done.has(looped)) return [];
    done.add(looped);
    return [{ rest: looped, layers }];
  });
}

const NUMBERED = /^(.*?\.)(\d+)(\..+)$/;

function isLoop(numbers: ReadonlyMap<number, ReadonlySet<number>>, layers: ReadonlySet<number>): boolean {
  if (numbers.size < 2 || Math.max(...numbers.keys()) !== numbers.size - 1) return false;
  return [...numbers.values()].every((one) => one.size === layers.size && [...one].every((layer) => layers.has(layer)));
}

/** A loop is called after the list that it runs over; lists of other lengths have loops of their own. */
function loopName(start: string, count: number, loops: Map<string, number | string>, config: Model["config"]): string {
  const list = start.split(".").at(-2) ?? "";
  const base =
    list
      .replace(/s$/, "")
      .toLowerCase()
      .replaceAll(/[^a-z_]/g, "") || "item";
  const value = loopCount(count, config);
  for (let i = 0; ; i++) {
    const name = i === 0 && !["layer", "prefix"].includes(base) ? base : `${base}_${"abcdefghijklmnopqrstuvwxyz"[i]}`;
    const used = loops.get(name);
    if (used !== undefined && used !== value) continue;
    loops.set(name, value);
    return name;
  }
}
