import type { AddedToken, Tokenizer } from "../../src/tokenizer/types.ts";

/** A tokenizer of these tokens, in the order of their ids; `added` come after them. */
export function tokenizerOf(
  tokens: readonly string[],
  {
    kind = "BPE",
    byteLevel = false,
    added = [],
    roles = {},
    model = {},
  }: {
    kind?: Tokenizer["kind"];
    byteLevel?: boolean;
    added?: readonly (Partial<AddedToken> & { content: string })[];
    roles?: Record<string, string>;
    model?: Record<string, unknown>;
  } = {},
): Tokenizer {
  const vocab = new Map(tokens.map((token, id) => [token, id]));
  const list = added.map(
    (token, i): AddedToken => ({
      id: tokens.length + i,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
      ...token,
    }),
  );
  return {
    name: "made",
    dir: "",
    from: "tokenizer.json",
    kind,
    vocab,
    merges: [],
    mergesAsText: false,
    scores: [],
    added: list,
    ids: new Map([...vocab, ...list.map(({ content, id }) => [content, id] as const)]),
    model,
    pipeline: byteLevel ? { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "ByteLevel" }] } } : {},
    config: {},
    specialTokensMap: undefined,
    roles: new Map(Object.entries(roles)),
    chatTemplate: undefined,
  };
}
