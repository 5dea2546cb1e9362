import { isConv1d } from "../architecture/conv1d.ts";
import type { Report } from "../errors.ts";
import { applyEdits } from "../model/config-edits.ts";
import { elementCount, type Model, type TensorPatch, type TensorView } from "../model/types.ts";
import { expertPatches, expertsIn, expertsPath, fitsExperts } from "./experts.ts";
import { type FusedPart, fusedParts } from "./fused.ts";
import { missingModules } from "./missing.ts";
import { storesTransposed } from "./orientation.ts";
import { partsOf } from "./parts.ts";
import { type Place, type Places, placesIn } from "./places.ts";
import { Problems } from "./problems.ts";
import {
  addedVector,
  type Factors,
  factorsOfModule,
  type Orientation,
  orientations,
  productPatch,
  replacedRows,
} from "./product.ts";
import { isTarget, isTargetParameter, patternName, scaleOf } from "./selection.ts";
import type { Adapter, AdapterModule, AdapterParts } from "./types.ts";
import { grownVocabulary } from "./vocabulary.ts";

/**
 * The model as it is with an adapter: the same tensors, those that the adapter changes with patches that are applied as
 * they are read, those that it holds whole from its own file. Nothing is computed here.
 * @param definitions the user's definitions of families.
 * @returns undefined where the adapter does not fit the model; the report says why.
 */
export function attachAdapter(
  model: Model,
  adapter: Adapter,
  definitions: string | undefined,
  report: Report,
): Model | undefined {
  const before = report.errors.length;
  const parts = partsOf(adapter, report);
  const attachment = new Attachment(model, adapter, parts, placesIn(model, definitions));
  // What is replaced comes first: an adapter that adds tokens may train factors and rows of its own embedding.
  attachment.addReplaced();
  attachment.addModules();
  attachment.addTokenRows();
  const tensors = attachment.finish(report);
  if (report.errors.length > before) return undefined;
  const grown = grownVocabulary(model, tensors, adapter, attachment.places, report);
  if (report.errors.length > before) return undefined;
  const edits = new Map([...attachment.edits, ...grown.edits]);
  return {
    ...model,
    tensors,
    weightFiles: [...model.weightFiles, ...adapter.weightFiles],
    ...grown.files,
    ...(edits.size === 0 ? {} : { config: applyEdits(model.config, edits), configEdits: edits }),
  };
}

class Attachment {
  readonly places: Places;
  /** What config.json has to say otherwise. */
  readonly edits = new Map<string, unknown>();
  readonly #model: Model;
  readonly #adapter: Adapter;
  readonly #parts: AdapterParts;
  readonly #problems = new Problems();
  readonly #patches = new Map<string, TensorPatch[]>();
  /** Tensors that come from the adapter, or that the model does not store under this name. */
  readonly #views = new Map<string, TensorView>();
  /** Whether modules that are not of a class that says it store their weights as [inputs, outputs]. */
  #others: boolean | undefined;

  constructor(model: Model, adapter: Adapter, parts: AdapterParts, places: Places) {
    this.#model = model;
    this.#adapter = adapter;
    this.#parts = parts;
    this.places = places;
  }

  addModules(): void {
    for (const module of this.#parts.modules) {
      // A head that goes on following its embedding has the embedding's factors, too.
      if (this.#adapter.config.ensureWeightTying && this.#find(`${module.path}.weight`)?.untied) continue;
      if (this.#isWanted(module)) this.#addModule(module);
      else this.#problems.untargeted.push(module.path);
    }
  }

  /** Packed experts are wanted as they are there: their parameters may have been modules of other names once. */
  #isWanted({ path }: AdapterModule): boolean {
    const { config } = this.#adapter;
    const { path: own } = expertsPath(path);
    return isTarget(config, own) || isTargetParameter(config, `${own}.weight`) || /(^|\.)experts$/.test(own);
  }

  #addModule(module: AdapterModule): void {
    const { path, bias } = module;
    const factors = factorsOfModule(module);
    if (factors === undefined) {
      this.#problems.unfit.push(`${path}: A ${shape(module.a?.view)} and B ${shape(module.b?.view)}`);
      return;
    }
    const { config } = this.#adapter;
    const { scale, rank } = scaleOf(config, patternName(config, path));
    const place = this.#find(`${path}.weight`) ?? (module.isEmbedding ? this.#find(path) : undefined);
    const isPacked = place?.view.shape.length === 3 && module.a?.view.shape.length === 2;
    if (place === undefined || isPacked) this.#addElsewhere(module, factors, scale);
    else if (rank !== factors.rank) {
      this.#problems.ranks.push(`${path} has rank ${factors.rank}, adapter_config.json says ${rank}`);
    } else {
      this.#addWhole(module, place, factors, scale);
      if (bias !== undefined) this.#addBias(path, bias, scale);
    }
  }

  /** A module that is no weight of its own in the model: fused layers, packed experts. */
  #addElsewhere(module: AdapterModule, factors: Factors, scale: number): void {
    const outputs = (path: string) => this.#parts.modules.find((one) => one.path === path)?.b?.view.shape[0];
    const fused = fusedParts(module, factors, this.places, outputs);
    for (const part of fused ?? []) this.#addPart(module, part, scale);
    if (fused === undefined && !this.#addExperts(module)) this.#problems.unknown.push(module.path);
  }

  #addExperts(module: AdapterModule): boolean {
    const { path, depth } = expertsPath(module.path);
    const found = expertsIn(this.#model, path).concat(path === module.path ? [] : expertsIn(this.#model, module.path));
    const fitting = found.flatMap((place) => {
      const fit = fitsExperts(module, place, this.#model.config.model_type);
      return fit === undefined ? [] : [{ place, ...fit }];
    });
    // What was wrapped first, the class's first parameter, lies innermost.
    const chosen = depth > 0 ? fitting[0] : fitting.at(-1);
    if (chosen === undefined) return false;
    const name = `${path}.${chosen.place.parameter}`;
    const { scale, rank } = scaleOf(this.#adapter.config, name);
    if (rank !== chosen.rank) {
      this.#problems.ranks.push(`${name} has rank ${chosen.rank}, adapter_config.json says ${rank}`);
      return true;
    }
    for (const { name, patch } of expertPatches(module, chosen.place, { ...chosen, scale }))
      this.#addPatch(name, patch);
    return true;
  }

  /** A weight of the module's own. */
  #addWhole(module: AdapterModule, place: Place, factors: Factors, scale: number): void {
    const fits = orientations(factors, place.view.shape).filter((one) => !module.isEmbedding || one === "transposed");
    const orientation = fits.length > 1 && !this.#isTransposed(module.path) ? "straight" : fits.at(-1);
    if (orientation === undefined) this.#unfit(module, factors, place);
    else this.#addProduct(module, place, 0, orientation, factors, scale);
  }

  /** Some rows of a weight that fuses the module with others; or all of one of the weights that the module fuses. */
  #addPart(module: AdapterModule, { place, firstRow, factors }: FusedPart, scale: number): void {
    const [rows = 0, columns = 0] = place.view.shape;
    // A magnitude has a number for each output of the module, wherever they went.
    if (
      module.magnitude !== undefined ||
      columns !== factors.inputs ||
      firstRow < 0 ||
      firstRow + factors.outputs > rows
    ) {
      this.#unfit(module, factors, place);
      return;
    }
    this.#addProduct(module, place, firstRow, "straight", factors, scale);
  }

  #unfit({ path }: AdapterModule, { inputs, outputs }: Factors, { view }: Place): void {
    this.#problems.unfit.push(`${path}: B A is [${outputs}, ${inputs}], and the model's tensor is ${shape(view)}`);
  }

  #addProduct(
    { magnitude }: AdapterModule,
    { name, view, first, untied }: Place,
    firstRow: number,
    orientation: Orientation,
    factors: Factors,
    scale: number,
  ): void {
    const columns = orientation === "straight" ? factors.inputs : factors.outputs;
    const patch = productPatch(factors, { from: first / columns + firstRow, orientation, scale, magnitude });
    if (untied) this.#untie(name, view);
    this.#addPatch(name, patch);
  }

  #addBias(path: string, bias: AdapterModule["bias"], scale: number): void {
    const place = this.places.find(`${path}.bias`);
    if (bias === undefined) return;
    if (place === undefined) this.#problems.biasless.push(path);
    else if (elementCount(place.view.shape) !== elementCount(bias.view.shape)) {
      this.#problems.unfit.push(`${bias.tensor} ${shape(bias.view)} and ${place.name} ${shape(place.view)}`);
    } else this.#addPatch(place.name, addedVector(bias, scale));
  }

  addTokenRows(): void {
    for (const [path, rows] of this.#parts.tokenRows) {
      const { tokenRows, ensureWeightTying } = this.#adapter.config;
      const own = tokenRows.get(path.slice(path.lastIndexOf(".") + 1)) ?? tokenRows.get(path);
      const places = own ?? tokenRows.get("*");
      const place = this.#find(`${path}.weight`);
      // A head that follows its embedding has the embedding's rows, unless it was given some of its own.
      if (place?.untied === true && (ensureWeightTying || own === undefined)) continue;
      if (place === undefined) this.#problems.unknown.push(path);
      else if (
        places === undefined ||
        places.length !== rows.view.shape[0] ||
        rows.view.shape[1] !== place.view.shape[1] ||
        places.some((index) => index >= (place.view.shape[0] ?? 0))
      ) {
        this.#problems.unfit.push(`${rows.tensor} ${shape(rows.view)} for ${places?.length ?? 0} token rows`);
      } else {
        if (place.untied) this.#untie(place.name, place.view);
        for (const patch of replacedRows(rows, places)) this.#addPatch(place.name, patch);
      }
    }
  }

  /** Where a weight lies, as the adapter has it: it may hold the whole of it. */
  #find(name: string): Place | undefined {
    const place = this.places.find(name);
    const view = place && this.#views.get(place.name);
    return view === undefined ? place : { name: place?.name as string, whole: view, view, first: 0, untied: false };
  }

  /** A weight that follows another becomes a tensor of its own, and config.json says so. */
  #untie(name: string, view: TensorView): void {
    this.#views.set(name, view);
    const tie = this.places.architecture()?.keys.tie;
    if (tie !== undefined && tie !== "") this.edits.set(tie, false);
  }

  /** Tensors that the adapter holds whole. Embeddings and heads may have more rows than the model's. */
  addReplaced(): void {
    const grown = [...this.#parts.baseCopies].filter(([name, { view }]) => this.#isGrown(name, view));
    for (const [name, stored] of new Map([...grown, ...this.#parts.replaced])) {
      const place = this.places.find(name);
      const isOther = place !== undefined && place.view !== place.whole;
      if (place?.untied === true && this.#adapter.config.ensureWeightTying) continue;
      if (place === undefined) this.#problems.leftOut.push(name);
      else if (isOther || String(stored.view.shape.slice(1)) !== String(place.view.shape.slice(1))) {
        this.#problems.unfit.push(`${name} ${shape(stored.view)}, and the model's tensor is ${shape(place.view)}`);
      } else if (stored.view.shape[0] !== place.view.shape[0] && !this.places.hasTokens(name)) {
        this.#problems.unfit.push(`${name} ${shape(stored.view)}, and the model's tensor is ${shape(place.view)}`);
      } else if (place.untied) this.#untie(place.name, stored.view);
      else this.#views.set(place.name, stored.view);
    }
    this.#leaveHeads();
  }

  #isGrown(name: string, { shape: [rows = 0] }: TensorView): boolean {
    const place = this.places.find(name);
    return place !== undefined && !place.untied && this.places.hasTokens(name) && rows !== place.view.shape[0];
  }

  /**
   * An embedding among `modules_to_save` is trained apart from the head that follows it, which stays as it is in the
   * base; `ensure_weight_tying` is how an adapter says otherwise.
   */
  #leaveHeads(): void {
    const { ensureWeightTying, modulesToSave } = this.#adapter.config;
    if (ensureWeightTying || modulesToSave.length === 0) return;
    for (const { name, view, followed } of this.places.followers()) {
      const path = followed.slice(0, -".weight".length);
      const isSaved = modulesToSave.some((one) => path === one || path.endsWith(`.${one}`));
      const own = this.#views.get(followed);
      if (isSaved && !this.#views.has(name) && own?.shape[0] === view.shape[0]) this.#untie(name, view);
    }
  }

  #addPatch(name: string, patch: TensorPatch): void {
    this.#patches.set(name, [...(this.#patches.get(name) ?? []), patch]);
  }

  /**
   * How a square weight is stored. The class says it, and modules beside it that fit one way only; `fan_in_fan_out` is
   * asked where neither does, as PEFT corrects it where it knows the class.
   */
  #isTransposed(path: string): boolean {
    const { model_type: type } = this.#model.config;
    if (isConv1d(type, path)) return true;
    this.#others ??=
      storesTransposed(this.#model, this.#parts.modules) ?? (type === undefined && this.#adapter.config.fanInFanOut);
    return this.#others;
  }

  finish(report: Report): Map<string, TensorView> {
    const isChanged = (name: string) => this.#patches.has(name) || this.#views.has(name);
    this.#problems.missing.push(...missingModules(this.#model, this.#adapter.config, isChanged));
    const tensors = new Map([...this.#model.tensors, ...this.#views]);
    for (const [name, list] of this.#patches) {
      const view = tensors.get(name) as TensorView;
      const patches = list.toSorted((a, b) => a.from - b.from);
      const overlap = patches.some(({ from, columns }, i) => {
        const last = patches[i - 1];
        return last !== undefined && (last.to > from || last.columns !== columns);
      });
      if (overlap) this.#problems.twice.push(name);
      tensors.set(name, { ...view, patches });
    }
    if (this.#patches.size + this.#views.size === 0) this.#problems.isEmpty = true;
    this.#problems.report(this.#adapter, this.#model, report);
    return tensors;
  }
}

function shape(view: TensorView | undefined): string {
  return `[${(view?.shape ?? []).join(", ")}]`;
}
