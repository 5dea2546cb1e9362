import type { Architecture } from "../architecture/types.ts";
import type { InputModel, MergeConfig, NamedModel } from "../config/types.ts";
import { type Problem, type Report, SinterError } from "../errors.ts";
import { openRawReference } from "../lora/open.ts";
import type { MergeMethod } from "../methods/types.ts";
import { isFloat } from "../model/dtype.ts";
import { formatModelRef } from "../model/ref.ts";
import type { Model } from "../model/types.ts";
import { checkRecipe, inputFiles, totals } from "./build.ts";
import { type Copies, someOf, startCopies } from "./copies.ts";
import { layOut } from "./layout.ts";
import type { OpenModel, PlanModel } from "./models.ts";
import { sharedPrefix } from "./prefix.ts";
import { type BlockPlace, inferBlocks } from "./raw-blocks.ts";
import { normalText, recipeOptions, withCached } from "./recipe.ts";
import { checkSources, hasRightSources, type RecipeModule, type Slice, type Source } from "./sources.ts";
import type { Target } from "./targets.ts";
import { planTensors } from "./tensors.ts";
import type { MergeOptions, MergePlan, RawTensors } from "./types.ts";

/** What stands for the family of tensors that belong to none. */
const NO_FAMILY: Architecture = {
  family: "raw",
  modules: [],
  keys: { layerCount: {}, vocabSize: "", tie: "", perLayer: {}, layerNumbers: {} },
  tied: false,
  layout: { kind: undefined, fixed: false },
  byName: [],
  files: [],
};

/**
 * Plans a merge by tensor names: of files and folders that need no config.json and belong to no family, such as
 * diffusion checkpoints. Gradients go over the blocks that the names show (`inferBlocks`). The output is weights only.
 * @param tensors what becomes of tensors that not all models have. In a union, those that too few models have for the
 *   method are copied from the base, else from the first model that has them.
 * @throws SinterError with every problem that the last step found.
 */
export function buildRawPlan(
  config: MergeConfig,
  options: MergeOptions,
  tensors: RawTensors,
  report: Report,
  open: OpenModel = (named, into) => openRawReference(named, options, into),
): MergePlan {
  const method = checkRecipe(config, options, report);
  const inputs = wholeModels(config, report);
  const opened = openAll(inputs, config.baseModel, report, open);
  report.throwIfErrors();
  if (method === undefined || opened === undefined) throw new SinterError(report.errors);

  const { sources, models } = opened;
  checkSources(sliceOf(sources, config), method, config, report);
  const names = chooseNames(sources, tensors, config, report);
  report.throwIfErrors();

  const copies = startCopies();
  const targets = rawTargets(names, sources, { config, method, copies, place: inferBlocks(names) });
  const ops = planTensors(targets, config, method, options, report);
  copies.report(report);
  report.throwIfErrors();

  const { folderIndexes: _, ...layout } = layOut(ops, options.outShardSize, format(options));
  return {
    method: method.name,
    seed: options.seed,
    models: models.map(({ model }) => model.name),
    baseModel: sources.find(({ isBase }) => isBase)?.from.model.name,
    recipe: withCached(
      { program: "raw", text: normalText(config), options: { ...recipeOptions(options), tensors } },
      models.map(({ model }) => model),
    ),
    inputFiles: inputFiles(ops, { all: models }),
    ...layout,
    sideFiles: [],
    totals: totals(ops, layout.shards),
    tied: [],
    warnings: [...report.warnings],
  };
}

function format({ safeSerialization }: MergeOptions): "safetensors" | "torch" {
  return safeSerialization ? "safetensors" : "torch";
}

function wholeModels({ body, mergeMethodAt }: MergeConfig, report: Report): readonly InputModel[] {
  if (body.kind === "whole" && body.composition.kind === "models") return body.composition.models;
  const at = body.kind === "whole" && body.composition.kind === "slices" ? body.composition.slices[0]?.at : undefined;
  report.error({
    code: "raw-needs-models",
    message: `a raw merge goes by tensor names and knows no ${body.kind === "modules" ? "modules" : "layers to slice"}`,
    at: at ?? mergeMethodAt,
    hint: "list the files under models:; filters and gradients tell parts of a model apart",
  });
  return [];
}

interface Opened {
  /** In the order of the recipe; a base that is not among the models comes last. */
  sources: readonly Source[];
  /** Each model once. */
  models: readonly PlanModel[];
}

function openAll(
  inputs: readonly InputModel[],
  base: NamedModel | undefined,
  report: Report,
  open: OpenModel,
): Opened | undefined {
  const opened = new Map<string, PlanModel | undefined>();
  const get = (named: NamedModel) => {
    const key = formatModelRef(named.ref);
    if (!opened.has(key)) {
      const model = open(named, report);
      opened.set(key, model && { model, architecture: NO_FAMILY, at: named.at });
    }
    return opened.get(key);
  };
  const list = inputs.map(({ model, parameters }) => ({ from: get(model), start: 0, parameters, at: model.at }));
  const baseModel = base && get(base);
  if (base !== undefined && !list.some(({ from }) => from === baseModel)) {
    list.push({ from: baseModel, start: 0, parameters: new Map(), at: base.at });
  }
  const sources = list.flatMap(({ from, ...rest }): Source[] =>
    from === undefined ? [] : [{ ...rest, from, isBase: from === baseModel }],
  );
  if (sources.length < list.length) return undefined;
  return { sources, models: [...opened.values()].filter((model) => model !== undefined) };
}

function sliceOf(sources: readonly Source[], config: MergeConfig, copied?: boolean): Slice {
  return { sources, layers: 0, parameters: new Map(), at: sources[0]?.at ?? config.mergeMethodAt, copied };
}

/** The names of the output's tensors: the base's or first model's order, then those that others have besides. */
function chooseNames(
  sources: readonly Source[],
  tensors: RawTensors,
  config: MergeConfig,
  report: Report,
): readonly string[] {
  const models = [...new Set(sources.toSorted((a, b) => Number(b.isBase) - Number(a.isBase)).map(({ from }) => from))];
  const holders = new Map<string, number>();
  for (const { model } of models)
    for (const name of model.tensors.keys()) holders.set(name, (holders.get(name) ?? 0) + 1);
  const names = [...holders.keys()];
  const everywhere = names.filter((name) => holders.get(name) === models.length);
  const shared = models.length === 1 || names.some((name) => (holders.get(name) as number) > 1);
  if (names.length === 0 || !shared || (tensors === "intersection" && everywhere.length === 0)) {
    report.error(nothingShared(models, config));
    return [];
  }
  if (tensors === "intersection") return everywhere;
  if (tensors === "all") for (const one of models) reportLacking(one, names, report);
  return names;
}

function nothingShared(models: readonly PlanModel[], config: MergeConfig): Problem {
  const [first, second] = models.map(({ model }) => model);
  const at = config.mergeMethodAt;
  if (first === undefined || second === undefined) {
    return { code: "no-tensors", message: "the models hold no tensor", at };
  }
  const some = (model: Model) => `${model.name} has ${someOf([...model.tensors.keys()])}`;
  return {
    code: "nothing-in-common",
    message: `the models have no tensor in common: ${some(first)}; ${some(second)}`,
    at,
    hint: prefixHint(first, second),
  };
}

/** Checkpoints of one model often differ in what stands before all names. */
function prefixHint(a: Model, b: Model): string | undefined {
  for (const [longer, shorter] of [[a, b] as const, [b, a] as const]) {
    const prefix = sharedPrefix([...longer.tensors.keys()], [...shorter.tensors.keys()]);
    if (prefix.matches > 0 && prefix.before !== "") {
      return `${longer.name} has "${prefix.before}" before names of ${shorter.name}: is one a part of the other? sinter fill puts it there`;
    }
  }
  return undefined;
}

function reportLacking({ model, at }: PlanModel, names: readonly string[], report: Report): void {
  const lacking = names.filter((name) => !model.tensors.has(name));
  if (lacking.length === 0) return;
  const count = lacking.length === 1 ? "a tensor" : `${lacking.length} tensors`;
  report.error({
    code: "missing-tensor",
    message: `the model lacks ${count} that another has: ${someOf(lacking)}`,
    at,
    model: model.name,
    hint: "--tensor-intersection leaves such tensors out, --tensor-union merges them of the models that have them",
  });
}

interface Context {
  config: MergeConfig;
  method: MergeMethod;
  copies: Copies;
  place: BlockPlace;
}

function rawTargets(names: readonly string[], sources: readonly Source[], context: Context): Target[] {
  const slices = new Map<string, Slice>();
  const module: RecipeModule = { name: "default", family: NO_FAMILY.family, slices: [], parameters: new Map() };
  return names.map((name) => {
    const slice = sliceFor(name, sources, context, slices);
    const inputs = slice.sources.map(({ from }) => {
      const view = from.model.tensors.get(name);
      return { name, found: view && { view, name, via: "own" as const } };
    });
    const spec = { name, key: name, aliases: [], optional: false };
    return { spec, module, slice, t: context.place(name), inputs };
  });
}

/** The sources that a tensor is merged of; the one it is copied from where they are not what the method takes. */
function sliceFor(
  name: string,
  sources: readonly Source[],
  { config, method, copies }: Context,
  slices: Map<string, Slice>,
): Slice {
  const having = sources.filter(({ from }) => from.model.tensors.has(name));
  const whole = having.length === sources.length;
  const mixed = !sameKind(name, having);
  const merged = !mixed && (whole || (having.length > 1 && hasRightSources(having, method)));
  const first = having.find(({ isBase }) => isBase) ?? (having[0] as Source);
  if (!merged) copies.note(name, first.from.model.name, mixed ? "kind" : "missing");
  const used = merged ? having : [first];
  const key = `${merged} ${used.map((source) => sources.indexOf(source)).join(" ")}`;
  const slice = slices.get(key) ?? sliceOf(used, config, merged ? undefined : true);
  slices.set(key, slice);
  return slice;
}

/** Some checkpoints hold positions as whole numbers and others as floating point numbers. */
function sameKind(name: string, sources: readonly Source[]): boolean {
  const kinds = sources.map(({ from }) => {
    const view = from.model.tensors.get(name);
    return view !== undefined && isFloat(view.dtype);
  });
  return kinds.every((kind) => kind === kinds[0]);
}
