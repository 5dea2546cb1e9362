import { type Dirent, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { writeYaml } from "../config/write-yaml.ts";
import { type Report, SinterError } from "../errors.ts";
import { formatModelRef } from "../model/ref.ts";
import type { Model } from "../model/types.ts";
import { totals } from "./build.ts";
import { configText } from "./config-json.ts";
import { someOf } from "./copies.ts";
import { layOut } from "./layout.ts";
import type { PlacelessOp } from "./place.ts";
import { matchNames } from "./prefix.ts";
import { filesRead } from "./reads.ts";
import { recipeOptions } from "./recipe.ts";
import type { MergeOptions, MergePlan, SideFile } from "./types.ts";

/**
 * Plans a copy of `base` in which the tensors that `part` has, too, come from `part`: a language model that was merged
 * by itself goes back into the vision-language model that it is a part of. Names are matched whatever stands before them
 * in the base. Every tensor keeps its dtype, and all other files are the base's.
 * @throws SinterError where the two do not go together.
 */
export function buildFillPlan(base: Model, part: Model, options: MergeOptions, report: Report): MergePlan {
  const sources = matchNames([...base.tensors.keys()], [...part.tensors.keys()], (whole, own) =>
    sameShape(base.tensors.get(whole)?.shape, part.tensors.get(own)?.shape),
  );
  check(base, part, sources, report);
  report.throwIfErrors();
  const ops = [...base.tensors].map(([tensor, own]): PlacelessOp => {
    const source = sources.get(tensor);
    const view = source === undefined ? own : (part.tensors.get(source) ?? own);
    const from = view === own ? base : part;
    const input = { view, model: from.name, tensor: source ?? tensor, position: from === base ? 0 : 1 };
    const work = view.patches === undefined ? { kernel: "copy", params: [] } : { kernel: "linear", params: [1] };
    return { tensor, dtype: view.dtype, shape: view.shape, ...work, inputs: [input] };
  });
  const { folderIndexes: _, ...layout } = layOut(ops, options.outShardSize, "safetensors");
  const files = filesRead(ops);
  return {
    method: "fill",
    seed: options.seed,
    models: [base.name, part.name],
    baseModel: base.name,
    recipe: {
      program: "fill",
      text: writeYaml({ base_model: formatModelRef(base.ref), model: formatModelRef(part.ref) }),
      options: recipeOptions(options),
    },
    inputFiles: [...base.weightFiles, ...part.weightFiles].filter(({ path }) => files.has(path)),
    ...layout,
    sideFiles: sideFiles(base),
    totals: totals(ops, layout.shards),
    tied: [],
    warnings: [...report.warnings],
  };
}

function check(base: Model, part: Model, sources: ReadonlyMap<string, string>, report: Report): void {
  if (sources.size === 0) {
    const some = (model: Model) => `${model.name} has ${someOf([...model.tensors.keys()])}`;
    const message = `the models have no tensor in common: ${some(base)}; ${some(part)}`;
    throw new SinterError({ code: "nothing-in-common", message, hint: "the whole comes first, and then its part" });
  }
  if (base.tensors.size <= part.tensors.size) {
    report.error({
      code: "nothing-to-fill",
      message: `${base.name} has ${base.tensors.size} tensors and ${part.name} has ${part.tensors.size}: there is nothing to fill in`,
      hint: "the whole comes first, and then its part",
    });
  }
  const used = new Set(sources.values());
  const left = [...part.tensors.keys()].filter((name) => !used.has(name));
  if (left.length > 0) {
    const message = `tensors that ${base.name} does not have are left out: ${someOf(left)}`;
    report.warn({ code: "unknown-tensors", message, model: part.name });
  }
  const other = [...sources].filter(
    ([whole, own]) => !sameShape(base.tensors.get(whole)?.shape, part.tensors.get(own)?.shape),
  );
  for (const [whole, own] of other) {
    report.error({
      code: "shape-mismatch",
      message: `the tensors differ in shape: ${base.name} [${base.tensors.get(whole)?.shape}], ${part.name} [${part.tensors.get(own)?.shape}]`,
      tensor: whole,
      hint: "the output would not be what its config.json says, and would not load",
    });
  }
}

function sameShape(a: readonly number[] | undefined, b: readonly number[] | undefined): boolean {
  return String(a) === String(b);
}

const CONFIG = "config.json";
/** Weights in any format, their indexes, and what Sinter says of them. */
const NOT_COPIED = /\.(safetensors|bin|pt|pth|ckpt|gguf|onnx|tmp)$|\.index\.json$|^sinter_manifest\.json$/;

/** The folder's files; with an adapter that adds tokens, or unties the head, its tokenizer and a config.json that says so. */
function sideFiles(base: Model): SideFile[] {
  const { dir, sideFilePaths, configEdits } = base;
  const folder = otherFiles(dir).filter(({ name }) => name !== CONFIG || configEdits === undefined);
  const config = configEdits === undefined ? [] : [{ name: CONFIG, text: configText(base, new Map()) }];
  if (sideFilePaths === undefined) return [...folder, ...config];
  // What the adapter's tokenizer stands for is not among them.
  const inFolders = folder.filter(({ name }) => name.includes("/") || name === CONFIG);
  const isCopied = (name: string) => name !== CONFIG && !NOT_COPIED.test(name) && !name.startsWith(".");
  const own = [...sideFilePaths].filter(([name]) => isCopied(name)).map(([name, from]) => ({ name, from }));
  return [...inFolders, ...own, ...config];
}

/** Every file of the folder and of those within it that holds no weights. */
function otherFiles(dir: string): SideFile[] {
  const isHidden = (path: string) =>
    relative(dir, path)
      .split(sep)
      .some((part) => part.startsWith("."));
  const path = (entry: Dirent) => join(entry.parentPath, entry.name);
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && !NOT_COPIED.test(entry.name))
    .map(path)
    .filter((file) => !isHidden(file))
    .sort()
    .map((file) => ({ name: relative(dir, file).split(sep).join("/"), from: file }));
}
