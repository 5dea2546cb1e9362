import type { Report } from "../errors.ts";
import type { TensorView } from "../model/types.ts";
import type { NativeRotary } from "../native.ts";
import type { Assignment } from "./assignment.ts";
import { assign } from "./assignment.ts";
import { APPROXIMATIONS, type Match, type TransplantOptions } from "./methods.ts";
import { matrixOf, storedTokenWeights, type TokenModel, type TokenWeight } from "./models.ts";
import { rotaryOf } from "./rotary.ts";

/** By row: which tokens look trained in each model. */
export interface Trained {
  original: Uint8Array;
  donor: Uint8Array;
}

/** A weight with a row per token, and where its new rows come from. */
export interface MatrixPlan {
  /** Name in the output. */
  tensor: string;
  role: TokenWeight["role"];
  original: TensorView;
  /** The donor's counterpart; undefined where no approximation reads it. */
  donor: TensorView | undefined;
  assignment: Assignment;
  /** One number per token (the bias of a head): numbers of missing tokens are the mean of all. */
  isVector: boolean;
  rotary: { original: NativeRotary; donor: NativeRotary } | undefined;
}

/** Whether rows of the donor's matrices are read. */
export function readsDonor({ method, magikarp }: TransplantOptions): boolean {
  return APPROXIMATIONS[method].shared || magikarp;
}

/** Decides for every weight with a row per token where its rows come from; what stands against it goes to the report. */
export function planMatrices(
  original: TokenModel,
  donor: TokenModel,
  options: TransplantOptions,
  trained: Trained | undefined,
  report: Report,
): MatrixPlan[] {
  const weights = storedTokenWeights(original);
  const matrices = weights.filter(({ found }) => found.view.shape.length === 2);
  if (!matrices.some(({ role }) => role === "embedding")) {
    report.error({ code: "no-matrix", message: "the model has no embedding of tokens", model: original.model.name });
  }
  for (const role of ["embedding", "head"] as const) {
    const several = matrices.filter((matrix) => matrix.role === role);
    if (several.length < 2) continue;
    report.error({
      code: "several-matrices",
      message: `the model has several weights with a row per token: ${several.map(({ spec }) => spec.name).join(", ")}`,
      model: original.model.name,
      hint: "transplants take models with one embedding and one head",
    });
  }
  if (report.errors.length > 0) return [];
  return weights.flatMap((weight) => planMatrix(weight, original, donor, options, trained, report) ?? []);
}

function planMatrix(
  { spec, found, role }: TokenWeight,
  original: TokenModel,
  donor: TokenModel,
  options: TransplantOptions,
  trained: Trained | undefined,
  report: Report,
): MatrixPlan | undefined {
  const { view } = found;
  const isVector = view.shape.length === 1;
  const counterpart = !isVector && readsDonor(options) ? matrixOf(donor, role, report) : undefined;
  if (!isVector && readsDonor(options) && counterpart === undefined) return undefined;
  const assignment = assign(original.vocabulary, donor.vocabulary, {
    originalRows: view.shape[0] ?? 0,
    donorRows: counterpart?.shape[0] ?? Number.POSITIVE_INFINITY,
    prefix: appliesTo(options.prefixMatch, role),
    byte: appliesTo(options.byteMatch, role),
    needsDonorRow: APPROXIMATIONS[options.method].shared,
    trained,
  });
  const matrix = { tensor: spec.name, role, original: view, donor: counterpart, assignment, isVector };
  if (!isVector && assignment.targets.length > 0) checkShared(matrix, original, donor, options, report);
  const turned = options.method === "mp_rope" && counterpart !== undefined;
  return { ...matrix, rotary: turned ? rotaries(original, donor, view, counterpart, report) : undefined };
}

function appliesTo(match: Match, role: TokenWeight["role"]): boolean {
  return match === "yes" || match === (role === "head" ? "lm_head" : "embed");
}

function rotaries(
  original: TokenModel,
  donor: TokenModel,
  own: TensorView,
  theirs: TensorView,
  report: Report,
): MatrixPlan["rotary"] {
  const a = rotaryOf(original, own.shape[1] ?? 0, report);
  const b = rotaryOf(donor, theirs.shape[1] ?? 0, report);
  return a && b && { original: a, donor: b };
}

/** Approximations go by what the models have in common. */
function checkShared(
  { tensor, assignment }: Pick<MatrixPlan, "tensor" | "assignment">,
  original: TokenModel,
  donor: TokenModel,
  { method, k, magikarp }: TransplantOptions,
  report: Report,
): void {
  const { shared, k: takesK } = APPROXIMATIONS[method];
  const count = assignment.shared.donor.length;
  if (!shared || (count > 0 && (!takesK || k <= count))) return;
  const missing = assignment.targets.length;
  report.error({
    code: count === 0 ? "no-shared-tokens" : "too-few-shared",
    message:
      count === 0
        ? `${original.model.name} and ${donor.model.name} have no token in common: ${method} has nothing to go by for ${missing} tokens`
        : `k is ${k}, but the models have only ${count} tokens in common`,
    tensor,
    hint:
      count === 0
        ? `${magikarp ? "without --magikarp there may be some; " : ""}subword, mean and john_hewitt need none`
        : `--k ${Math.min(count, 64)} or less`,
  });
}
