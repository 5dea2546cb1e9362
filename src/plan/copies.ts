import type { Report } from "../errors.ts";

/** Weights that are copied from one model because not every model has them, or not in the same shape. */
export interface Copies {
  note(tensor: string, model: string, reason: keyof typeof REASONS): void;
  /** One warning for each model and reason, however many weights there are. */
  report(report: Report): void;
}

const REASONS = {
  missing: "not every model has it",
  shape: "the models have it in different shapes",
  kind: "it is whole numbers in one model and floating point numbers in another",
};

export function startCopies(): Copies {
  const groups = new Map<string, { model: string; reason: keyof typeof REASONS; tensors: string[] }>();
  return {
    note(tensor, model, reason) {
      const key = `${reason} ${model}`;
      const group = groups.get(key) ?? { model, reason, tensors: [] };
      group.tensors.push(tensor);
      groups.set(key, group);
    },
    report(report) {
      for (const { model, reason, tensors } of groups.values()) {
        report.warn({
          code: "copied-weights",
          message: `copied from one model, because ${REASONS[reason]}: ${someOf(tensors)}`,
          model,
        });
      }
    },
  };
}

/** The first names, and how many more there are. */
export function someOf(names: readonly string[], most = 3): string {
  const more = names.length > most ? ` and ${names.length - most} more` : "";
  return `${names.slice(0, most).join(", ")}${more}`;
}
