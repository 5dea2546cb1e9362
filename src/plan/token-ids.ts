import { isDeepStrictEqual } from "node:util";
import type { Report } from "../errors.ts";
import type { ConfigEdits } from "../model/config-edits.ts";
import { isObject } from "../model/json-file.ts";
import { textsById } from "../tokenizer/added.ts";
import type { Tokenizer } from "../tokenizer/types.ts";

/** Keys of config.json and generation_config.json whose value is a token's id, or a list of them. */
const ID_KEY = /_token_ids?$|_token_index$/;

/**
 * Ids that a configuration names, as they are in another tokenizer: by the tokens' text.
 * @param file the configuration's name, for warnings about tokens that the output lacks; those ids stay as they are.
 * @returns edits by dotted key, only where an id changes.
 */
export function tokenIdEdits(
  config: Readonly<Record<string, unknown>>,
  file: string,
  before: Tokenizer,
  after: Tokenizer,
  report: Report,
): ConfigEdits {
  const texts = textsById(before.ids);
  const edits = new Map<string, unknown>();
  const renumber = (key: string) => (id: unknown) => {
    const token = typeof id === "number" ? texts[id] : undefined;
    if (token === undefined) return id;
    const own = after.ids.get(token);
    if (own === undefined) {
      report.warn({
        code: "token-id",
        message: `${key} of ${file} is the id of ${JSON.stringify(token)}, which the output's tokenizer lacks: it stays ${id}`,
        model: before.name,
      });
    }
    return own ?? id;
  };
  const visit = (value: Readonly<Record<string, unknown>>, prefix: string) => {
    for (const [key, entry] of Object.entries(value)) {
      if (isObject(entry)) visit(entry, `${prefix}${key}.`);
      if (!ID_KEY.test(key)) continue;
      const changed = Array.isArray(entry) ? entry.map(renumber(key)) : renumber(key)(entry);
      if (!isDeepStrictEqual(changed, entry)) edits.set(prefix + key, changed);
    }
  };
  visit(config, "");
  return edits;
}
