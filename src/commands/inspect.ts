import type { Model } from "../model/types.ts";
import { type CommandModule, runCommandLine } from "./command.ts";
import { COMMANDS } from "./index.ts";
import { JSON_OPTION, PLANNING_OPTIONS } from "./merge-options.ts";
import type { CommandSpec, Options, OptionValues } from "./option.ts";
import { print } from "./terminal.ts";

const OPTIONS = {
  architectures: PLANNING_OPTIONS.architectures,
  cacheDir: PLANNING_OPTIONS.cacheDir,
  json: JSON_OPTION,
} as const satisfies Options;

export const spec: CommandSpec<typeof OPTIONS> = {
  name: "sinter inspect",
  summary: COMMANDS.inspect.summary,
  positionals: [
    {
      name: "MODEL",
      doc: "A model folder, or a hub id: of a model that is not in the cache only headers and the tokenizer are read.",
      required: true,
    },
  ],
  options: OPTIONS,
  examples: [
    { command: "sinter inspect ./model", doc: "Modules, layers, ties, dtypes, files, and what is unknown" },
    { command: "sinter inspect org/name@main --json", doc: "For a program" },
    { command: "sinter inspect ./model --architectures mine.json", doc: "As a definition of your own describes it" },
  ],
  notes: [
    "Reads headers only, no tensor, and downloads nothing into the cache. Exit code 1 if the model lacks weights that its family has.",
  ],
};

export const main: CommandModule["main"] = (args) => runCommandLine({ spec, run }, args);

async function run(options: OptionValues<typeof OPTIONS>, [name = ""]: readonly string[]): Promise<number> {
  const { findMissing } = await import("../model/missing.ts");
  const { isOffline } = await import("../model/hub-cache.ts");
  const { refOf } = await import("./fetch-named.ts");
  const ref = refOf(name);
  const isHere = isOffline() || ref.lora !== undefined;
  const missing = isHere ? undefined : findMissing({ path: ref.model }, options.cacheDir);
  if (missing !== undefined && !missing.isUsable) {
    const { withHubHeaders } = await import("./open-headers.ts");
    return await withHubHeaders(missing, options.cacheDir, (model, page, hasTokenizer) =>
      show(model, options, page, hasTokenizer),
    );
  }
  const { openNamedModel } = await import("./open-model.ts");
  return await show(openNamedModel(name, options.cacheDir), options, undefined);
}

/** @param page where the model is, when only its headers were read. @returns the exit code. */
async function show(
  found: Model,
  options: OptionValues<typeof OPTIONS>,
  page: string | undefined,
  hasTokenizer = true,
): Promise<number> {
  const { understandModel } = await import("./open-model.ts");
  const { inspect } = await import("../architecture/inspect.ts");
  const { model, architecture } = understandModel(found, options.architectures);
  const own = inspect(model, architecture);
  const { configValue } = await import("../architecture/config-values.ts");
  const { oddities, tokenizerFacts } = await import("./inspection-facts.ts");
  const { shapeFacts } = await import("./inspection-shape.ts");
  const tokenizer = hasTokenizer ? tokenizerFacts(model) : { facts: null };
  const inspection = {
    ...own,
    folder: page ?? own.folder,
    shape: shapeFacts(model.config),
    tokenizer: tokenizer.facts,
    oddities: oddities(model, own, configValue(model.config, architecture.keys.vocabSize), tokenizer),
  };
  const { inspectionText } = await import("./inspection-text.ts");
  await print(options.json ? `${JSON.stringify(inspection, undefined, 2)}\n` : inspectionText(inspection));
  return inspection.missing.length > 0 ? 1 : 0;
}
