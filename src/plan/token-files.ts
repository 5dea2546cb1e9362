import { readFileSync } from "node:fs";
import type { MergeConfig } from "../config/types.ts";
import type { Report } from "../errors.ts";
import { parseSpelt, writeSpelt } from "../model/python-json.ts";
import { sideFilePath } from "../model/types.ts";
import { checkTemplate, mostCommonTemplate, namedTemplate } from "../tokenizer/chat-template.ts";
import { readChatTemplate, readSpecialRoles, tokenizerFolder } from "../tokenizer/read.ts";
import type { JsonObject, Tokenizer } from "../tokenizer/types.ts";
import { tokenizerText } from "../tokenizer/write.ts";
import type { PlanModels } from "./models.ts";
import type { OutputTokenizer } from "./output-tokenizer.ts";
import { isTextTokenizerFile } from "./side-files.ts";
import type { SideFile } from "./types.ts";

/** Files that say a vocabulary in older formats: left out where the vocabulary is another. */
const OLD_VOCABULARY = /^(vocab\.(json|txt)|merges\.txt|added_tokens\.json|.*\.(model|tiktoken))$/;

/** The side files with the output's tokenizer in place of the donor's. */
export function withTokenizer(files: readonly SideFile[], { tokenizer, folder, isBuilt }: OutputTokenizer): SideFile[] {
  const others = files.filter(({ name }) => !isTextTokenizerFile(name));
  const own = folder.files.filter(isTextTokenizerFile).toSorted();
  const copied = (name: string): SideFile => ({ name, from: sideFilePath(folder, name) });
  if (!isBuilt) return [...others, ...own.map(copied)];
  const kept = own.filter(
    (name) => !OLD_VOCABULARY.test(name) && name !== "tokenizer.json" && name !== "tokenizer_config.json",
  );
  return [
    ...others,
    { name: "tokenizer.json", text: tokenizerText(tokenizer) },
    { name: "tokenizer_config.json", text: `${JSON.stringify(configOf(tokenizer), null, 2)}\n` },
    ...kept.map(copied),
  ];
}

/** tokenizer_config.json as it was, its list of added tokens being the tokenizer's. */
function configOf({ config, added }: Tokenizer): JsonObject {
  if (!("added_tokens_decoder" in config)) return config;
  const decoder = Object.fromEntries(added.map(({ id, ...flags }) => [String(id), flags]));
  return { ...config, added_tokens_decoder: decoder };
}

/** Reports a chat template that is neither a known name nor Jinja: said without any model. */
export function checkTemplateName({ chatTemplate }: MergeConfig, report: Report): void {
  if (chatTemplate === undefined || chatTemplate.text === "auto") return;
  const named = namedTemplate(chatTemplate.text);
  if (typeof named !== "string") report.error({ ...named, at: chatTemplate.at });
}

/**
 * The chat template that the recipe asks for, checked; undefined where it asks for none, and where it is of no use:
 * then the report says why.
 */
export function chooseTemplate(config: MergeConfig, models: PlanModels, report: Report): string | undefined {
  const wanted = config.chatTemplate;
  if (wanted === undefined) return undefined;
  const found = wanted.text === "auto" ? autoTemplate(models, report) : namedTemplate(wanted.text);
  if (found === undefined) {
    const message = "chat_template is auto, and no model has a chat template: the output has none";
    report.warn({ code: "chat-template", message, at: wanted.at });
    return undefined;
  }
  const roles = readSpecialRoles(tokenizerFolder(models.donor.model), report);
  const problem = typeof found === "string" ? checkTemplate(found, roles) : found;
  if (problem === undefined) return found as string;
  report.error({ ...problem, at: wanted.at });
  return undefined;
}

function autoTemplate(models: PlanModels, report: Report): string | undefined {
  const templates = models.all.flatMap(({ model }) => readChatTemplate(tokenizerFolder(model), report) ?? []);
  return mostCommonTemplate(templates);
}

/** The side files with this template, wherever readers look for one. */
export function withTemplate(files: readonly SideFile[], template: string): SideFile[] {
  const others = files.filter(({ name }) => name !== "chat_template.jinja" && name !== "chat_template.json");
  const changed = others.map((file) =>
    file.name === "tokenizer_config.json" ? replaceTemplate(file, template) : file,
  );
  const forProcessor = files.some(({ name }) => name === "chat_template.json");
  const json = { name: "chat_template.json", text: `${JSON.stringify({ chat_template: template }, null, 2)}\n` };
  return [...changed, { name: "chat_template.jinja", text: template }, ...(forProcessor ? [json] : [])];
}

/** Older versions of transformers read the template from tokenizer_config.json: where there is one, it becomes this. */
function replaceTemplate(file: SideFile, template: string): SideFile {
  const text = "text" in file ? file.text : readFileSync(file.from, "utf8");
  const config = parseSpelt(text) as JsonObject;
  if (!("chat_template" in config)) return file;
  return { name: file.name, text: `${writeSpelt({ ...config, chat_template: template })}\n` };
}
