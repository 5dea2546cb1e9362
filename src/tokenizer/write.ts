import type { Tokenizer } from "./types.ts";

/**
 * The text of tokenizer.json, laid out as `tokenizers` does: loads in Python and elsewhere.
 * Merges are written as they were read, but as pairs where a token holds a space.
 */
export function tokenizerText(tokenizer: Tokenizer): string {
  const { pipeline, added } = tokenizer;
  const head: Record<string, unknown> = { version: "1.0", truncation: null, padding: null, added_tokens: added };
  const parts = ["normalizer", "pre_tokenizer", "post_processor", "decoder"];
  const fields = {
    ...head,
    ...Object.fromEntries(parts.map((part) => [part, null])),
    ...pipeline,
    added_tokens: added,
  };
  const lines = Object.entries(fields).map(([key, value]) => `  ${JSON.stringify(key)}: ${indented(value, "  ")}`);
  return `{\n${lines.join(",\n")},\n  "model": ${modelText(tokenizer)}\n}\n`;
}

function indented(value: unknown, margin: string): string {
  return JSON.stringify(value, null, 2).replaceAll("\n", `\n${margin}`);
}

function modelText({ kind, model, vocab, merges, mergesAsText, scores }: Tokenizer): string {
  const lines = Object.entries({ type: kind, ...model }).map(
    ([key, value]) => `    ${JSON.stringify(key)}: ${indented(value, "    ")}`,
  );
  const byId = [...vocab].sort(([, a], [, b]) => a - b);
  if (kind === "Unigram")
    lines.push(`    "vocab": ${listText(byId.map(([token], id) => pieceText(token, scores[id] ?? 0)))}`);
  else lines.push(`    "vocab": ${vocabText(byId)}`);
  if (kind === "BPE") {
    const spaced = merges.some(([left, right]) => left.includes(" ") || right.includes(" "));
    const asPairs = spaced || !mergesAsText;
    const mergeText = ([left, right]: (typeof merges)[number]) =>
      asPairs
        ? `[\n        ${JSON.stringify(left)},\n        ${JSON.stringify(right)}\n      ]`
        : JSON.stringify(`${left} ${right}`);
    lines.push(`    "merges": ${listText(merges.map(mergeText))}`);
  }
  return `{\n${lines.join(",\n")}\n  }`;
}

function vocabText(byId: readonly (readonly [string, number])[]): string {
  if (byId.length === 0) return "{}";
  return `{\n${byId.map(([token, id]) => `      ${JSON.stringify(token)}: ${id}`).join(",\n")}\n    }`;
}

/** Scores keep their fraction: `tokenizers` wants floating point numbers. */
function pieceText(token: string, score: number): string {
  const number = Number.isInteger(score) ? score.toFixed(1) : String(score);
  return `[\n        ${JSON.stringify(token)},\n        ${number}\n      ]`;
}

function listText(items: readonly string[]): string {
  return items.length === 0 ? "[]" : `[\n${items.map((item) => `      ${item}`).join(",\n")}\n    ]`;
}
