import index from "../../architectures/index.json" with { type: "json" };
import type { FamilyDefinition } from "./definition.ts";
import { LOADERS } from "./loaders.ts";

/** What is known about a family without reading its definition. */
export interface FamilyEntry {
  model_types: readonly string[];
  architectures: readonly string[];
}

/** The families that are known. Definitions are read when they are first asked for. */
export interface Families {
  /** In alphabetical order. */
  readonly names: readonly string[];
  entry(name: string): FamilyEntry | undefined;
  /**
   * The family that describes a class (as `architectures` in config.json names it), else the one for a `model_type`.
   * Where several describe the class, `model_type` decides.
   */
  find(architecture: string | undefined, modelType: unknown): string | undefined;
  /** The family of this name, if there is one. */
  named(name: string): string | undefined;
  load(name: string): FamilyDefinition;
}

/**
 * Families from entries and a way to load definitions.
 * @param load is called with names of `entries` only.
 * @param first names that go before the others where several families fit.
 */
export function familiesOf(
  entries: Readonly<Record<string, FamilyEntry>>,
  load: (name: string) => FamilyDefinition,
  first: readonly string[] = [],
): Families {
  const names = Object.keys(entries).sort();
  const order = [...first, ...names.filter((name) => !first.includes(name))];
  return {
    names,
    entry: (name) => (Object.hasOwn(entries, name) ? entries[name] : undefined),
    find: (architecture, modelType) => {
      const isType = (name: string) => entries[name]?.model_types.includes(modelType as string) === true;
      const ofClass = order.filter((name) => entries[name]?.architectures.includes(architecture as string));
      return ofClass.find(isType) ?? ofClass[0] ?? order.find(isType);
    },
    named: (name) => (Object.hasOwn(entries, name) ? name : undefined),
    load,
  };
}

/** The given families with more of them, which go before: they replace a family of the same name. */
export function withDefinitions(families: Families, definitions: ReadonlyMap<string, FamilyDefinition>): Families {
  if (definitions.size === 0) return families;
  const known = families.names.map((name) => [name, families.entry(name) as FamilyEntry] as const);
  const entries = Object.fromEntries<FamilyEntry>([...known, ...definitions]);
  return familiesOf(entries, (name) => definitions.get(name) ?? families.load(name), [...definitions.keys()]);
}

/** The families that come with Sinter. */
export const BUILT_IN: Families = familiesOf(index, (name) => {
  const load = LOADERS[name];
  if (load === undefined) throw new Error(`no family "${name}"`);
  return load();
});
