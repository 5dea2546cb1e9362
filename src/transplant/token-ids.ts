import { configValue } from "../architecture/config-values.ts";
import type { ConfigEdits } from "../model/config-edits.ts";
import type { TokenModel } from "./models.ts";

const ROLES = ["bos", "eos", "pad", "unk", "sep", "cls", "mask", "decoder_start"] as const;
type Json = Readonly<Record<string, unknown>>;

/**
 * What config.json says of special tokens, as the donor has it: its config.json's ids, else those of its tokenizer's
 * tokens. Keys that neither model has are not added; ids that mean nothing to the donor's tokenizer become null.
 */
export function tokenIdEdits(original: TokenModel, donor: TokenModel): ConfigEdits {
  const own = prefixes(original);
  const edits = new Map<string, unknown>();
  for (const role of ROLES) {
    const key = `${role}_token_id`;
    const given = first(prefixes(donor).map((prefix) => configValue(donor.model.config, prefix + key)));
    const value = given ?? idOf(donor, role);
    const places = own.filter((prefix) => configValue(original.model.config, prefix + key) !== undefined);
    for (const prefix of places) edits.set(prefix + key, value ?? null);
    if (places.length === 0 && given !== undefined) edits.set(`${own.at(-1)}${key}`, given);
  }
  return edits;
}

/** The ids of generation_config.json: the donor's own file's, else those of its config.json. @returns undefined: none. */
export function generationIds(generation: Json, donorGeneration: Json | undefined, edits: ConfigEdits): ConfigEdits {
  const result = new Map<string, unknown>();
  for (const role of ROLES) {
    const key = `${role}_token_id`;
    const value =
      donorGeneration?.[key] ?? first([...edits].filter(([name]) => name.endsWith(key)).map(([, id]) => id));
    if (key in generation || donorGeneration?.[key] !== undefined) result.set(key, value ?? null);
  }
  return result;
}

/** Where keys of the language model may stand: at the top, and within the part that has the vocabulary's size. */
function prefixes({ architecture }: TokenModel): string[] {
  return [...new Set(["", architecture.keys.vocabSize.replace(/[^.]*$/, "")])];
}

function idOf({ tokenizer }: TokenModel, role: (typeof ROLES)[number]): number | undefined {
  const text = tokenizer.roles.get(`${role}_token`);
  return text === undefined ? undefined : tokenizer.ids.get(text);
}

function first(values: readonly unknown[]): unknown {
  return values.find((value) => value !== undefined && value !== null);
}
