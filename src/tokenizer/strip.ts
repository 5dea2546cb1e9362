import type { Report } from "../errors.ts";
import { someTokens, withAdded } from "./added.ts";
import type { Tokenizer } from "./types.ts";

/**
 * The tokenizer without tokens whose ids have no row in the model's matrix, with a warning that counts them. BPE loses
 * the merges that name or make them.
 * @param rows of the matrix.
 * @returns the same tokenizer where every token has its row.
 */
export function stripTokenizer(tokenizer: Tokenizer, rows: number, report: Report): Tokenizer {
  const gone = new Set<string>();
  for (const [token, id] of tokenizer.ids) if (id >= rows) gone.add(token);
  if (gone.size === 0) return tokenizer;
  report.warn({
    code: "tokens-beyond-rows",
    message: `${gone.size} tokens have ids beyond the ${rows} rows of the model's embedding and are left out: ${someTokens([...gone])}`,
    model: tokenizer.name,
  });
  const vocab = new Map([...tokenizer.vocab].filter(([token]) => !gone.has(token)));
  const merges = tokenizer.merges.filter(
    ([left, right]) => !gone.has(left) && !gone.has(right) && !gone.has(left + right),
  );
  const scores = tokenizer.scores.slice(0, rows);
  const unknown = typeof tokenizer.model.unk_token === "string" ? tokenizer.model.unk_token : undefined;
  if (unknown !== undefined && gone.has(unknown)) {
    report.error({
      code: "unknown-token-beyond-rows",
      message: `the token for unknown text, ${JSON.stringify(unknown)}, has no row in the model's embedding`,
      model: tokenizer.name,
    });
  }
  const stripped = { ...tokenizer, vocab, merges, scores };
  return withAdded(
    stripped,
    tokenizer.added.filter(({ content }) => !gone.has(content)),
  );
}
