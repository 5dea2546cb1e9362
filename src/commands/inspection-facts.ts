import type { Inspection } from "../architecture/inspect.ts";
import { Report } from "../errors.ts";
import type { Model } from "../model/types.ts";
import { hasTokenizer, readTokenizer } from "../tokenizer/read.ts";

export interface TokenizerFacts {
  /** The file that holds the vocabulary. */
  from: string;
  kind: string;
  tokens: number;
  added: number;
  largestId: number;
  /** Such as `eos_token`, with the token. */
  roles: Record<string, string>;
  chatTemplate: boolean;
}

/** @returns null where the model has none, or one that cannot be read: then `problem` says why. */
export function tokenizerFacts({ name, dir, sideFiles }: Model): { facts: TokenizerFacts | null; problem?: string } {
  const folder = { name, dir, files: sideFiles };
  if (!hasTokenizer(folder)) return { facts: null };
  const report = new Report();
  const tokenizer = readTokenizer(folder, report);
  if (tokenizer === undefined) return { facts: null, problem: report.errors[0]?.message ?? "it cannot be read" };
  const { from, kind, ids, added, roles, chatTemplate } = tokenizer;
  let largestId = -1;
  for (const id of ids.values()) largestId = Math.max(largestId, id);
  return {
    facts: {
      from,
      kind,
      tokens: ids.size,
      added: added.length,
      largestId,
      roles: Object.fromEntries(roles),
      chatTemplate: chatTemplate !== undefined,
    },
  };
}

const DTYPE_NAMES: Readonly<Record<string, string>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
};

/** What a user may not expect of the model: sentences. What is missing or unknown is said elsewhere. */
export function oddities(
  { config }: Model,
  inspection: Inspection,
  vocabSize: unknown,
  tokenizer: ReturnType<typeof tokenizerFacts>,
): string[] {
  const found: string[] = [];
  const embedding = inspection.shared.find(({ role }) => role === "embedding");
  const rows = embedding?.shape?.[0];
  if (rows !== undefined && typeof vocabSize === "number" && vocabSize !== rows) {
    found.push(`config.json says ${vocabSize} tokens, and the embedding has ${rows} rows`);
  }
  const largest = tokenizer.facts?.largestId;
  if (rows !== undefined && largest !== undefined && largest >= rows) {
    found.push(`the tokenizer has ids up to ${largest}, and the embedding has ${rows} rows`);
  }
  if (tokenizer.problem !== undefined) found.push(`the tokenizer is not understood: ${tokenizer.problem}`);
  const head = inspection.shared.find(({ role }) => role === "head");
  if (head !== undefined && head.tensor !== null) {
    if (inspection.tied && !head.tied) found.push("the head is said to be tied, and the files store one of its own");
    if (!inspection.tied && head.tied) found.push("the head is said to be its own, and the files store none");
  }
  const said = config.dtype ?? config.torch_dtype;
  const most = Object.entries(inspection.dtypes).toSorted(([, a], [, b]) => b.parameters - a.parameters)[0]?.[0];
  const saidDtype = typeof said === "string" ? DTYPE_NAMES[said] : undefined;
  if (saidDtype !== undefined && most !== undefined && saidDtype !== most) {
    found.push(`config.json says ${String(said)}, and most weights are ${most}`);
  }
  return found;
}
