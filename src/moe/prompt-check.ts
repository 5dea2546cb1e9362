import type { Report } from "../errors.ts";
import { formatModelRef } from "../model/ref.ts";
import { type Expert, isRandom, type MixtureConfig } from "./types.ts";

/**
 * What can be said of a mixture without its models: whether there are prompts, whether they tell experts apart, whether
 * the experts differ.
 * @param allowSame experts may all be one model: the mixture will be trained.
 */
export function checkExperts(config: MixtureConfig, allowSame: boolean, report: Report): void {
  if (isRandom(config.gateMode)) return;
  config.experts.forEach((expert, i) => {
    checkPrompts(expert, i, report);
  });
  checkShared(config, report);
  checkDifference(config, allowSame, report);
}

function checkPrompts(expert: Expert, index: number, report: Report): void {
  const { positive, negative, at } = expert;
  if (positive.length === 0) {
    report.error({
      code: "no-prompts",
      message: `expert ${index} has no positive prompts`,
      at,
      hint: "give texts that this expert is for, or set gate_mode to random and train the routers",
    });
  } else if (positive.toSorted().join("\0") === negative.toSorted().join("\0")) {
    const message = `the positive and the negative prompts of expert ${index} are the same, and cancel each other out`;
    report.error({ code: "same-prompts", message, at });
  }
}

/** One shared expert with prompts and one without have not the same kind of gate. */
function checkShared({ shared }: MixtureConfig, report: Report): void {
  const without = shared.find(({ positive }) => positive.length === 0);
  if (without === undefined) return;
  if (without.negative.length > 0) {
    report.error({ code: "no-prompts", message: "a shared expert has negative prompts only", at: without.at });
  } else if (shared.some(({ positive }) => positive.length > 0)) {
    const message = "some shared experts have prompts and some have none";
    report.error({ code: "no-prompts", message, at: without.at, hint: "give all of them prompts, or none" });
  }
}

function checkDifference({ experts }: MixtureConfig, allowSame: boolean, report: Report): void {
  const [first, ...others] = experts;
  if (first === undefined || others.length === 0 || first.positive.length === 0) return;
  if (others.every((other) => promptsOf(other) === promptsOf(first))) {
    report.error({
      code: "same-prompts",
      message: "the prompts of all experts are the same: the routers could not tell the experts apart",
      at: others[0]?.at,
      hint: "positive_prompts of each expert must be texts that this one is for, and not the others",
    });
  }
  if (!allowSame && others.every(({ model }) => formatModelRef(model.ref) === formatModelRef(first.model.ref))) {
    report.error({
      code: "same-experts",
      message: "all experts are the same model: the mixture would compute what that model does, at a higher cost",
      at: others[0]?.at,
      hint: "to train it afterwards, give --i-understand-this-is-not-useful-without-training",
    });
  }
}

function promptsOf({ positive, negative }: Expert): string {
  return JSON.stringify([positive, negative]);
}
