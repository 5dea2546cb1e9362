import type { Report } from "../errors.ts";
import type { PlanModel } from "../plan/models.ts";
import type { MixtureDefinition } from "./definition.ts";
import type { MixtureModels } from "./models.ts";
import { isRandom, type MixtureConfig } from "./types.ts";

/** Taken where several fit and the configuration does not choose: what mergekit did before it knew others. */
const USUAL = "Mixtral";

/**
 * The mixture that the configuration asks for by the start of its name, else the usual one where that fits, else the
 * first that does.
 * @returns undefined where none fits; the report then says of each what stands against it.
 */
export function chooseMixture(
  definitions: readonly MixtureDefinition[],
  config: MixtureConfig,
  models: MixtureModels,
  report: Report,
): MixtureDefinition | undefined {
  const wanted = config.architecture?.name.toLowerCase();
  const isWanted = ({ name, aliases }: MixtureDefinition) =>
    wanted === undefined || [name, ...aliases].some((one) => one.toLowerCase().startsWith(wanted));
  const candidates = definitions.filter(isWanted);
  const fitting = candidates.filter((one) => brokenRules(one, config, models).length === 0);
  const chosen = fitting.find(({ name }) => name === USUAL) ?? fitting[0];
  if (chosen === undefined) reportNone(definitions, candidates, config, models, report);
  else if (fitting.length > 1 && chosen.name !== USUAL) {
    const others = fitting.filter((one) => one !== chosen).map(({ name }) => name);
    report.warn({
      code: "several-architectures",
      message: `the output is a ${chosen.name}; ${others.join(" and ")} would fit as well`,
      at: config.architecture?.at ?? config.at,
      hint: "architecture chooses one",
    });
  }
  return chosen;
}

function reportNone(
  definitions: readonly MixtureDefinition[],
  candidates: readonly MixtureDefinition[],
  config: MixtureConfig,
  models: MixtureModels,
  report: Report,
): void {
  const described = definitions.map((one) => {
    const broken = brokenRules(one, config, models);
    return `\n    ${one.name}: ${broken.length === 0 ? "fits" : broken.join("; ")}`;
  });
  const name = config.architecture?.name ?? "";
  const message =
    candidates.length === 0
      ? `unknown architecture "${name}"`
      : config.architecture === undefined
        ? "no architecture of mixtures can be made of this"
        : `${candidates.map((one) => one.name).join(" or ")} cannot be made of this`;
  report.error({
    code: candidates.length === 0 ? "unknown-mixture" : "no-mixture-fits",
    message: `${message}. These are known:${described.join("")}`,
    at: config.architecture?.at ?? config.at,
  });
}

/** Why a mixture cannot be made of a configuration's models and experts, in words; empty where it can. */
export function brokenRules(definition: MixtureDefinition, config: MixtureConfig, models: MixtureModels): string[] {
  return [...familyRules(definition, models), ...sharedRules(definition, config)];
}

function familyRules({ inputs }: MixtureDefinition, { all, base }: MixtureModels): string[] {
  const known = Object.keys(inputs);
  const family = (one: PlanModel) => one.architecture.family;
  const foreign = all.filter((one) => !known.includes(family(one)));
  if (foreign.length > 0) {
    const names = foreign.map((one) => `${one.model.name} is a ${family(one)}`);
    return [`it is made of ${known.join(" or ")} models, and ${names.join(", ")}`];
  }
  const other = all.find((one) => family(one) !== family(base));
  if (other === undefined) return [];
  return [
    `its models must be of one family, and ${base.model.name} is a ${family(base)}, ${other.model.name} a ${family(other)}`,
  ];
}

function sharedRules({ shared }: MixtureDefinition, config: MixtureConfig): string[] {
  const count = config.shared.length;
  if (count === 0) return [];
  if (shared === undefined) return ["it has no shared experts"];
  const rules: string[] = [];
  if (count > 1) rules.push(`it has at most one shared expert, and here are ${count}`);
  const prompted = config.shared.some(({ positive, negative }) => positive.length + negative.length > 0);
  if (shared.gate === undefined && prompted) rules.push("its shared expert has no gate, and takes no prompts");
  if (shared.gate !== undefined && !prompted && !isRandom(config.gateMode)) {
    rules.push(`its shared expert has a gate, and needs prompts where gate_mode is ${config.gateMode}`);
  }
  return rules;
}
