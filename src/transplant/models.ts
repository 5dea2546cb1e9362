import { expandArchitecture } from "../architecture/expand.ts";
import { familiesFor } from "../architecture/families.ts";
import { resolveWeight, weightSpecs } from "../architecture/resolve.ts";
import { withSubfolders } from "../architecture/subfolders.ts";
import type { Architecture, Resolution, WeightSpec } from "../architecture/types.ts";
import type { Report } from "../errors.ts";
import { type OpenNamed, openReference } from "../lora/open.ts";
import { isFloat } from "../model/dtype.ts";
import type { ModelRef } from "../model/ref.ts";
import type { Model, TensorView } from "../model/types.ts";
import { hasTokenizer, readTokenizer, tokenizerFolder } from "../tokenizer/read.ts";
import type { Tokenizer } from "../tokenizer/types.ts";
import { readVocabulary, type Vocabulary } from "./vocabulary.ts";

/** A model and the tokens that its rows belong to. */
export interface TokenModel {
  model: Model;
  architecture: Architecture;
  tokenizer: Tokenizer;
  vocabulary: Vocabulary;
}

/**
 * Opens a model and its tokenizer. @returns undefined where one is missing or does not read; the report says why.
 * @param open how the model itself is opened.
 */
export function openTokenModel(
  ref: ModelRef,
  { cacheDir, architectures }: { cacheDir?: string | undefined; architectures?: string | undefined },
  report: Report,
  open: OpenNamed = (named, into) => openReference(named, { cacheDir, architectures }, into),
): TokenModel | undefined {
  const found = open({ ref }, report);
  if (found === undefined) return undefined;
  const families = familiesFor([found], architectures, report);
  const model = withSubfolders(found, families, report);
  const architecture = model && expandArchitecture(model, report, { families });
  const folder = tokenizerFolder(found);
  if (!hasTokenizer(folder)) {
    report.error({
      code: "no-tokenizer",
      message: "the model has no tokenizer: its tokens cannot be matched with another model's",
      model: found.name,
      path: found.dir,
      hint: "a tokenizer.json, tokenizer.model, vocab.json with merges.txt, or vocab.txt should lie beside the weights",
    });
    return undefined;
  }
  const tokenizer = readTokenizer(folder, report);
  if (model === undefined || architecture === undefined || tokenizer === undefined) return undefined;
  return { model, architecture, tokenizer, vocabulary: readVocabulary(tokenizer) };
}

/** A weight with a row, or an element, per token. */
export interface TokenWeight {
  spec: WeightSpec;
  found: Resolution;
  role: "embedding" | "head";
}

/** Weights with a row per token: those that the model stores, ties left out. */
export function storedTokenWeights({ model, architecture }: TokenModel): TokenWeight[] {
  return tokenWeights(model, architecture).filter(({ found }) => found.via !== "tie");
}

/**
 * The matrix that a model has for a role: its own, or the one that it is tied to.
 * @returns undefined, and a problem, where there is none or it is of integers.
 */
export function matrixOf(
  { model, architecture }: TokenModel,
  role: TokenWeight["role"],
  report: Report,
): TensorView | undefined {
  const found = tokenWeights(model, architecture).find(
    (weight) => weight.role === role && weight.found.view.shape.length === 2,
  )?.found;
  if (found === undefined) {
    const what = role === "head" ? "output head" : "embedding of tokens";
    report.error({ code: "no-matrix", message: `the model has no ${what} to take rows of`, model: model.name });
    return undefined;
  }
  const { view } = found;
  if (isFloat(view.dtype)) return view;
  report.error({
    code: "integer-matrix",
    message: `its ${role} is stored as ${view.dtype}: rows of whole numbers cannot be combined`,
    model: model.name,
  });
  return undefined;
}

function tokenWeights(model: Model, architecture: Architecture): TokenWeight[] {
  return weightSpecs(architecture).flatMap((spec) => {
    if (spec.role === undefined) return [];
    const found = resolveWeight(spec, model, architecture);
    return found === undefined ? [] : [{ spec, found, role: spec.role }];
  });
}
