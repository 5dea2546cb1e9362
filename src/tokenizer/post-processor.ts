import type { JsonObject } from "./types.ts";

/**
 * A post-processor of tokenizer.json that puts tokens before and after a text (and, of a pair, around both).
 * @returns null where there is nothing to put; tokens that `ids` lacks are left out.
 */
export function template(
  before: readonly string[],
  after: readonly string[],
  ids: ReadonlyMap<string, number>,
): JsonObject | null {
  const known = [...before, ...after].filter((token) => ids.has(token));
  if (known.length === 0) return null;
  const special = (type: number) => (token: string) => ({ SpecialToken: { id: token, type_id: type } });
  const around = (id: "A" | "B", type: number) => [
    ...before.filter((token) => ids.has(token)).map(special(type)),
    { Sequence: { id, type_id: type } },
    ...after.filter((token) => ids.has(token)).map(special(type)),
  ];
  return {
    type: "TemplateProcessing",
    single: around("A", 0),
    pair: [...around("A", 0), ...around("B", 1)],
    special_tokens: Object.fromEntries(
      known.map((token) => [token, { id: token, ids: [ids.get(token) ?? 0], tokens: [token] }]),
    ),
  };
}
