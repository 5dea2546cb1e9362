import { writeFileSync } from "node:fs";
import { Report, SinterError } from "../../errors.ts";
import { parseModelRef } from "../../model/ref.ts";
import { drawLayers, type ShuffleModel, shuffleText } from "../../recipes/shuffle.ts";
import { onFile } from "../../run/file-error.ts";
import { checkOutput } from "../../run/output.ts";
import { executeMerge, type MergeRequest } from "../execute-merge.ts";
import { fetchModels } from "../fetch-models.ts";
import { openNamedModel, understandModel } from "../open-model.ts";
import type { OptionValues } from "../option.ts";
import { UsageError } from "../parse.ts";
import { print } from "../terminal.ts";
import type { SHUFFLE_OPTIONS } from "./shuffle.ts";

/** Draws a stack of layers, and merges it. @returns the exit code. */
export async function runShuffle(
  values: OptionValues<typeof SHUFFLE_OPTIONS>,
  request: Omit<MergeRequest, "config">,
): Promise<number> {
  checkWeights(values);
  await fetchAll(values.model, request);
  const { cacheDir, architectures, seed } = request.options;
  const models = values.model.map((name, i): ShuffleModel => {
    return { name, layers: layerCount(name, cacheDir, architectures), weight: values.weight[i] ?? 1 };
  });
  const text = shuffleText(drawLayers(models, seed, values.fullRandom), values.fp16);
  if (values.printYaml) await print(text);
  const { writeYaml: file } = values;
  if (file !== undefined) onFile("cannot write the configuration", file, () => writeFileSync(file, text));
  if (values.dryRun) return 0;
  return await executeMerge({ ...request, config: { text, name: file ?? "the drawn configuration" } });
}

function checkWeights({ model, weight }: OptionValues<typeof SHUFFLE_OPTIONS>): void {
  const wrong = (message: string) => new UsageError({ code: "option-value", message });
  if (model.length === 0) throw wrong("there is nothing to draw from: name models, each with --model");
  if (weight.length > 0 && weight.length !== model.length) {
    throw wrong(`${model.length} models and ${weight.length} weights: give one --weight for each --model, or none`);
  }
  if (weight.some((value) => value < 0)) throw wrong("a --weight must not be negative");
}

async function fetchAll(names: readonly string[], { options, messages, out, run }: Omit<MergeRequest, "config">) {
  const report = new Report();
  const named = names.map((name) => {
    const ref = parseModelRef(name);
    if (typeof ref === "string") throw new UsageError({ code: "bad-model", message: ref });
    return { ref };
  });
  const check = (into: Report) => checkOutput(out, run.force, into);
  await fetchModels(named, options.cacheDir, { download: true, quiet: messages.quiet, check }, report);
}

function layerCount(name: string, cacheDir: string | undefined, definitions: string | undefined): number {
  const { model, architecture } = understandModel(openNamedModel(name, cacheDir), definitions);
  const [module, ...more] = architecture.modules;
  if (module !== undefined && more.length === 0) return module.layers.length;
  const names = architecture.modules.map((one) => one.name).join(", ");
  throw new SinterError({
    code: "needs-modules",
    message: `${architecture.family} has several modules (${names}): which one's layers are to be drawn?`,
    model: model.name,
    hint: "write a configuration with modules: and slices: for it",
  });
}
