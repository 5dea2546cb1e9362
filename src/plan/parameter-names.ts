import type { Composition, MergeConfig, Parameters } from "../config/types.ts";
import { nearest, type Report } from "../errors.ts";
import type { MergeMethod } from "../methods/types.ts";

/**
 * Reports parameters that the method does not have, and ones of the whole merge that stand at a single source, where
 * they have no effect (as in mergekit). Warnings; an unknown name is an error under `strict`.
 */
export function checkParameterNames(config: MergeConfig, method: MergeMethod, strict: boolean, report: Report): void {
  const { outer, sources } = parameterLevels(config);
  for (const level of [...outer, ...sources]) checkKnown(level, method, strict, report);
  const global = method.parameters.filter((spec) => spec.scope === "global");
  for (const level of sources) {
    for (const { name } of global) {
      const at = level.get(name)?.at;
      if (at === undefined) continue;
      const message = `${name} holds for the whole tensor: at a single model it has no effect`;
      report.warn({ code: "parameter-scope", message, at, hint: "move it to the slice or to the top level" });
    }
  }
}

function checkKnown(level: Parameters, method: MergeMethod, strict: boolean, report: Report): void {
  const known = method.parameters.map((spec) => spec.name);
  for (const [name, { at }] of level) {
    if (known.includes(name)) continue;
    const close = nearest(name, known);
    const problem = {
      code: "unknown-parameter",
      message: `${method.name} has no parameter ${JSON.stringify(name)}`,
      at,
      hint: close === undefined ? `its parameters: ${known.join(", ")}` : `did you mean ${close}?`,
    };
    if (strict) report.error(problem);
    else report.warn(problem);
  }
}

function parameterLevels(config: MergeConfig): { outer: Parameters[]; sources: Parameters[] } {
  const outer = [config.parameters];
  const sources: Parameters[] = [];
  const add = (composition: Composition) => {
    if (composition.kind === "models") sources.push(...composition.models.map(({ parameters }) => parameters));
    else {
      for (const slice of composition.slices) {
        outer.push(slice.parameters);
        sources.push(...slice.sources.map(({ parameters }) => parameters));
      }
    }
  };
  if (config.body.kind === "whole") add(config.body.composition);
  else {
    for (const module of config.body.modules.values()) {
      outer.push(module.parameters);
      add(module.composition);
    }
  }
  return { outer, sources };
}
