import { SinterError } from "../errors.ts";

/** What stops a report on a folder whose inputs are not what they were. */
export function otherPlan(folder: string): SinterError {
  return new SinterError({
    code: "other-plan",
    message: "the recipe gives another plan by now: models that it names, or Sinter, are not those of the merge",
    path: folder,
    hint: "sinter verify says what differs",
  });
}
