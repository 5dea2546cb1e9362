import type { Architecture, ModuleSpec } from "./types.ts";

/** Whether two models can be merged weight by weight: one family, and the same class of it. */
export function familiesAgree(a: Architecture, b: Architecture): boolean {
  return a.family === b.family && a.architecture === b.architecture;
}

/**
 * The module of a model that goes into a module of the output: the one of the same name, else the whole model where it
 * is of the module's family (a text model and the text decoder of a vision-language model).
 */
export function correspondingModule(
  architecture: Architecture,
  output: Pick<ModuleSpec, "name" | "family">,
): ModuleSpec | undefined {
  const { modules } = architecture;
  const whole = modules.length === 1 ? modules[0] : undefined;
  return modules.find(({ name }) => name === output.name) ?? (whole?.family === output.family ? whole : undefined);
}

/** Whether a model is, as a whole, what one of the modules of a larger model is. */
export function isPartOf(part: Architecture, whole: Architecture): boolean {
  const only = part.modules[0];
  return (
    part.modules.length === 1 && whole.modules.length > 1 && whole.modules.some(({ family }) => family === only?.family)
  );
}
