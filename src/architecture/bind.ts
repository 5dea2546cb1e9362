import type { Report } from "../errors.ts";
import type { Model } from "../model/types.ts";
import { conditionHolds, configValue, effectiveKey, type ValueAt } from "./config-values.ts";
import type { EmbeddedModule, FamilyDefinition, ModuleTemplate, Prefix } from "./definition.ts";
import type { Families } from "./registry.ts";

/** A module's templates, and the part of config.json that they go by. */
export interface BoundModule {
  name: string;
  family: string;
  templates: ModuleTemplate;
  /** What stands before the module's keys in config.json: `text_config.`, or nothing. */
  path: string;
  valueAt: ValueAt;
  prefixes: readonly { prefix: string; outside: string }[];
  /** Whether it has its head: a part of a larger model may stand without. */
  hasHead: boolean;
}

/** The family's own values: config.json, else the defaults; `architectures` is the model's class. */
export function familyValues(definition: FamilyDefinition, architecture: string, config: Model["config"]): ValueAt {
  return (key) =>
    key === "architectures" ? architecture : (configValue(config, key) ?? definition.config.defaults[key]);
}

/**
 * The modules of a model, those that are models of other families replaced by what those families say.
 * @returns undefined where a part is of a family that nobody described: then the report has an error `unknown-part`.
 */
export function bindModules(
  family: string,
  definition: FamilyDefinition,
  valueAt: ValueAt,
  model: Model,
  families: Families,
  report: Report,
): readonly BoundModule[] | undefined {
  const modules: BoundModule[] = [];
  const entries = Object.entries(definition.modules).filter(
    ([, { when }]) => when === undefined || conditionHolds(when, valueAt),
  );
  for (const [name, module] of entries) {
    const bound =
      "family" in module
        ? bindEmbedded(name, module, { valueAt, model, families, report })
        : bindOwn(name, module, family, valueAt);
    if (bound !== undefined) modules.push(bound);
  }
  return modules.length === entries.length ? modules : undefined;
}

/** Whether every part of the model is of a family that is described. */
export function bindsAll(definition: FamilyDefinition, model: Model, families: Families): boolean {
  const valueAt = familyValues(definition, model.architecture ?? definition.architectures[0], model.config);
  return Object.values(definition.modules).every((module) => {
    if (!("family" in module) || (module.when !== undefined && !conditionHolds(module.when, valueAt))) return true;
    return partFamily(module, valueAt, families).family !== undefined;
  });
}

function partFamily({ family }: EmbeddedModule, valueAt: ValueAt, families: Families) {
  const key = /^\$\{(.+)\}$/.exec(family)?.[1];
  const wanted = key === undefined ? family : valueAt(key);
  return { key, wanted, family: key === undefined ? families.named(family) : families.find(undefined, wanted) };
}

function bindOwn(name: string, templates: ModuleTemplate, family: string, valueAt: ValueAt): BoundModule {
  const folder = templates.subfolder === undefined ? "" : `${templates.subfolder}/`;
  const prefixes = (templates.prefixes ?? [""])
    .map(bothPrefixes)
    .map(({ prefix, outside }) => ({ prefix: folder + prefix, outside: folder + outside }));
  return { name, family, templates, path: "", valueAt, prefixes, hasHead: true };
}

function bothPrefixes(prefix: Prefix): { prefix: string; outside: string } {
  return typeof prefix === "string" ? { prefix, outside: "" } : prefix;
}

interface Surroundings {
  valueAt: ValueAt;
  model: Model;
  families: Families;
  report: Report;
}

function bindEmbedded(
  name: string,
  module: EmbeddedModule,
  { valueAt, model, families, report }: Surroundings,
): BoundModule | undefined {
  const { key, wanted, family } = partFamily(module, valueAt, families);
  const definition = family === undefined ? undefined : families.load(family);
  const templates = definition?.modules.default;
  if (family === undefined || definition === undefined || templates === undefined || "family" in templates) {
    report.error({
      code: "unknown-part",
      message: `no family is described for the model's ${name}: ${key ?? "family"} is ${JSON.stringify(wanted)}`,
      model: model.name,
    });
    return undefined;
  }
  const part = effectiveKey(module.config, (one) => (one === "" ? model.config : configValue(model.config, one)));
  const path = part === "" ? "" : `${part}.`;
  const { defaults } = definition.config;
  return {
    name,
    family,
    templates,
    path,
    valueAt: (one) => (one === "architectures" ? definition.architectures[0] : (valueAt(path + one) ?? defaults[one])),
    prefixes: module.prefixes.map(bothPrefixes),
    hasHead: module.head === undefined || conditionHolds(module.head, valueAt),
  };
}
