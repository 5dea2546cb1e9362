import { Report, SinterError } from "../errors.ts";
import { type Addon, native } from "../native.ts";
import { checkTokens, type Decoder } from "./decoder.ts";
import { runDecoder } from "./run.ts";
import type { RunOptions } from "./types.ts";

/** How a text longer than a model's context is cut. */
export interface Windows {
  /** Most tokens that go through the model together; at least 2. */
  window: number;
  /** Tokens from the start of one window to the start of the next; at most `window`. */
  stride: number;
}

export interface Perplexity {
  /** exp of the mean of -log p(token | tokens before it in its window) over all tokens that are scored. */
  perplexity: number;
  /** That mean, in nats. */
  loss: number;
  /** Tokens of the text, and how many of them were scored. */
  tokens: number;
  scored: number;
}

/** One window: tokens [begin, end), of which those from `scoredFrom` count. */
interface Window {
  begin: number;
  end: number;
  scoredFrom: number;
}

/**
 * Perplexity of a decoder on a text. Each token is scored once, in the first window that holds it and a token before it:
 * with a stride below the window, all but the first token are.
 * @throws SinterError where the model has no head, fewer than two tokens are given, or one is beyond the vocabulary,
 * before any work; and where the probabilities are not finite.
 */
export async function perplexity(
  decoder: Decoder,
  ids: Int32Array,
  windows: Windows,
  options: RunOptions = {},
  addon: Addon = native(),
): Promise<Perplexity> {
  const report = new Report();
  requireHead(decoder, report);
  checkTokens(decoder, [ids], report);
  if (ids.length === 1) {
    report.error({ code: "no-tokens", message: "the text is a single token: there is nothing to predict" });
  }
  report.throwIfErrors();
  const cut = [...windowsOf(ids.length, windows)];
  const sequences = cut.values().map(({ begin, end }) => ids.subarray(begin, end));
  const wanted = { states: "none", logProbabilities: true } as const;
  const work = cut.reduce((tokens, { begin, end }) => tokens + end - begin, 0);
  // Windows that overlap are more work than the text has tokens.
  const onTokens = (done: number) => options.onTokens?.(ids.length * (done / work));
  let sum = 0;
  let scored = 0;
  await runDecoder(
    decoder,
    sequences,
    wanted,
    addon,
    { ...options, onTokens },
    ({ logProbabilities }, first, chunk) => {
      let at = 0;
      for (const index of chunk.keys()) {
        const { begin, end, scoredFrom } = cut[first + index] as Window;
        for (let token = scoredFrom; token < end; token++) sum -= logProbabilities[at + token - begin] as number;
        scored += end - scoredFrom;
        at += end - begin;
      }
    },
  );
  const loss = sum / scored;
  if (!Number.isFinite(loss)) throw notFinite(decoder);
  return { perplexity: Math.exp(loss), loss, tokens: ids.length, scored };
}

/** Windows that follow each other until one reaches the last token. */
export function* windowsOf(tokens: number, { window, stride }: Windows): Generator<Window> {
  let done = 0;
  for (let begin = 0; done < tokens; begin += stride) {
    const end = Math.min(begin + window, tokens);
    // The first token of a window has none before it.
    const scoredFrom = Math.max(done, begin + 1);
    if (scoredFrom < end) yield { begin, end, scoredFrom };
    done = end;
  }
}

/** Reports a model without an output head. */
export function requireHead(decoder: Decoder, report: Report): void {
  if (decoder.weights.head !== undefined) return;
  report.error({
    code: "no-head",
    message: "the model has no output head, so that it gives no probabilities of tokens",
    model: decoder.name,
    hint: "name a model for causal language modelling (…ForCausalLM)",
  });
}

function notFinite(decoder: Decoder): SinterError {
  return new SinterError({
    code: "not-finite",
    message: "the model gives probabilities that are not finite: some weights are NaN, infinite or far too large",
    model: decoder.name,
  });
}
