import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Report } from "../errors.ts";
import { homeFolder } from "../model/home.ts";
import type { Model } from "../model/types.ts";
import { bindsAll } from "./bind.ts";
import type { FamilyDefinition } from "./definition.ts";
import { BUILT_IN, type Families, withDefinitions } from "./registry.ts";

/** Where definitions lie that are always used: `sinter/architectures` in the folder for configurations. */
export function configFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return join(env.XDG_CONFIG_HOME || join(homeFolder(), ".config"), "sinter", "architectures");
}

/**
 * The families that come with Sinter, and before them those that the user describes.
 * @param path a file or a folder; undefined: the folder for configurations alone.
 */
export function describedFamilies(path: string | undefined, report: Report, folder = configFolder()): Families {
  if (path === undefined && !existsSync(folder)) return BUILT_IN;
  const { withUserFamilies } = require("./user-families.ts") as typeof import("./user-families.ts");
  return withUserFamilies(BUILT_IN, path, folder, report);
}

/**
 * The families for some models: those that come with Sinter, those that the user describes, and, for models that
 * neither describes, one that is inferred from the names of their tensors, with a warning.
 * @param path the user's definitions: a file or a folder; undefined: those in the folder for configurations alone.
 */
export function familiesFor(models: readonly Model[], path: string | undefined, report: Report): Families {
  const families = describedFamilies(path, report);
  const groups = new Map<string, [Model, ...Model[]]>();
  for (const model of models.filter((one) => !isDescribed(one, families))) {
    const name = inferredName(model);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [model]);
    else group.push(model);
  }
  if (groups.size === 0) return families;
  const { inferDefinition } = require("./infer.ts") as typeof import("./infer.ts");
  const inferred = new Map<string, FamilyDefinition>();
  for (const [name, group] of groups) {
    inferred.set(name, inferDefinition(group));
    report.warn({
      code: "inferred-family",
      message:
        `no family is described for ${describe(group[0])}: layers, modules and ties are inferred from the names of ` +
        "tensors",
      model: group[0].name,
      hint: "sinter inspect shows what was inferred; sinter architectures new writes it, to correct and to keep",
    });
  }
  return withDefinitions(families, inferred);
}

function isDescribed(model: Model, families: Families): boolean {
  const family = families.find(model.architecture, model.config.model_type);
  return family !== undefined && bindsAll(families.load(family), model, families);
}

/** Models of one class are understood together. */
function inferredName({ architecture, config }: Model): string {
  return typeof config.model_type === "string" ? config.model_type : (architecture ?? "unknown");
}

function describe({ architecture, config }: Model): string {
  const type = config.model_type === undefined ? "no model_type" : `model_type ${JSON.stringify(config.model_type)}`;
  return `${architecture ?? "no architectures"} (${type})`;
}
