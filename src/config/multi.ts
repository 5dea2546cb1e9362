import { nearest, type Position, type Report, SinterError } from "../errors.ts";
import { type Context, isNothing, readText } from "./fields.ts";
import { type ReadOptions, readMerge } from "./read.ts";
import type { MergeConfig } from "./types.ts";
import { parseYamlDocuments, type YamlDocument } from "./yaml.ts";

/** One of several merges of a file. */
export interface MultiMerge {
  /** What others call it; undefined for the final merge. */
  name: string | undefined;
  /** Where the name stands, else where the document begins. */
  at: Position;
  /** Its text is the document's own. */
  config: MergeConfig;
}

/** A file of several merges, of which some are made of others. */
export interface MultiConfig {
  file: string;
  text: string;
  /** In the order of the file. */
  merges: readonly MultiMerge[];
}

/** A name is that of a folder in the folder for intermediate models. */
const NAME = /^(?!\.)[^/\\\0]{1,200}$/;

/**
 * Reads a file of several documents, each a merge configuration with an additional key `name`; one may have none: it is
 * the final one.
 * @param file names the text in positions.
 * @throws SinterError with every error of the file.
 */
export function readMultiConfig(text: string, file: string, options: ReadOptions, report: Report): MultiConfig {
  const context: Context = { report, ...options };
  const documents = parseYamlDocuments(text, file, report);
  if (documents === undefined) throw new SinterError(report.errors);
  const merges = documents.map((document) => readOne(document, file, context));
  if (merges.length === 0) {
    const hint = 'give merge configurations, divided by lines of "---"';
    report.error({ code: "nothing-to-merge", message: `${file} holds no merge`, hint });
  }
  checkNames(merges, report);
  report.throwIfErrors();
  return { file, text, merges };
}

/** Whether a text is of several merges: more than one document, or one with a name. */
export function isMulti(documents: readonly YamlDocument[]): boolean {
  return documents.length > 1 || documents.some(({ root }) => root.entries.some(({ key }) => key.value === "name"));
}

function readOne({ root, text }: YamlDocument, file: string, context: Context): MultiMerge {
  const entry = root.entries.find(({ key }) => key.value === "name");
  const name = entry === undefined || isNothing(entry.value) ? undefined : readText(entry.value, "name", context);
  const at = entry?.value.at ?? root.at;
  if (name !== undefined && !NAME.test(name)) {
    context.report.error({
      code: "merge-name",
      message: `${JSON.stringify(name)} cannot be the name of a merge: it is to be that of a folder`,
      at,
      hint: "letters, digits, - and _ will do; no slashes, no dot at the start",
    });
  }
  return { name, at, config: readMerge(root, text, file, context, ["name"]) };
}

function checkNames(merges: readonly MultiMerge[], report: Report): void {
  const seen = new Map<string | undefined, MultiMerge>();
  for (const merge of merges) {
    const earlier = seen.get(merge.name);
    if (earlier === undefined) seen.set(merge.name, merge);
    else {
      const first = `the other is in line ${earlier.at.line}`;
      report.error(
        merge.name === undefined
          ? { code: "two-final-merges", message: "two merges have no name", at: merge.at, hint: `name one; ${first}` }
          : { code: "duplicate-name", message: `two merges are named ${merge.name}`, at: merge.at, hint: first },
      );
    }
  }
}

/** A merge whose name is nearly that of a model that could not be found. */
export function nearestMerge(name: string, { merges }: MultiConfig): string | undefined {
  return nearest(
    name,
    merges.flatMap((merge) => merge.name ?? []),
  );
}
