import { type Problem, type Report, SinterError } from "../errors.ts";
import type { RunOptions } from "../forward/types.ts";
import type { TensorView } from "../model/types.ts";
import type { Addon, NativeForwardDevice } from "../native.ts";
import type { PlanModel } from "../plan/models.ts";
import { nativeTensor } from "../run/native-inputs.ts";
import { degenerateRouters } from "./degenerate.ts";
import type { MixtureModels } from "./models.ts";
import { embeddingOf, type Gates } from "./routers.ts";
import { encodePrompts } from "./tokens.ts";
import type { Expert, GateMode, MixtureConfig } from "./types.ts";

/** What `Addon.route` takes, but for the width: vectors, and which of them are whose. */
type Vectors = Omit<Parameters<Addon["route"]>[0], "width">;

/** An expert's prompts as numbers in the list of all prompts. */
interface PromptNumbers {
  positive: readonly number[];
  negative: readonly number[];
}

/**
 * Routing vectors of all experts, then of the shared expert if it has prompts, from the base's view of the prompts.
 * Routers that hardly tell experts apart are warnings in the report.
 * @param signal stops a forward pass. @param device multiplies for one; else the CPU.
 * @throws SinterError where prompts cannot be turned into vectors; the signal's reason.
 */
export async function gatesFromPrompts(
  config: MixtureConfig,
  models: MixtureModels,
  addon: Addon,
  report: Report,
  signal?: AbortSignal,
  device?: NativeForwardDevice,
): Promise<Gates> {
  const rows = [...config.experts, ...config.shared.filter(({ positive }) => positive.length > 0)];
  const { numbers, prompts } = numbered(rows);
  const found = embeddingOf(models.base, report);
  report.throwIfErrors();
  const embedding = found?.view;
  const { shape } = embedding as TensorView;
  const tokens = await encodePrompts(models.base, prompts, shape[0] ?? 0);
  const width = shape[1] ?? 0;
  const vectors =
    config.gateMode === "cheap_embed"
      ? embeddedTokens(embedding as TensorView, tokens, numbers, addon)
      : await hiddenVectors(config.gateMode, { base: models.base, tokens, numbers }, addon, report, { signal, device });
  const { gates, cosines, condition } = addon.route({ ...vectors, width });
  if (!gates.every(Number.isFinite)) throw new SinterError(notFinite(models));
  const routing = { cosines, condition, rows: rows.length };
  for (const problem of degenerateRouters(config.experts, routing)) report.warn(problem);
  return { values: gates, layers: vectors.layers, rows: rows.length, width };
}

/** Every prompt once, and those of each expert by number. */
function numbered(experts: readonly Expert[]): { prompts: string[]; numbers: PromptNumbers[] } {
  const known = new Map<string, number>();
  const numberOf = (prompt: string) => {
    const number = known.get(prompt) ?? known.size;
    known.set(prompt, number);
    return number;
  };
  const numbers = experts.map(({ positive, negative }) => ({
    positive: positive.map(numberOf),
    negative: negative.map(numberOf),
  }));
  return { prompts: [...known.keys()], numbers };
}

/** A vector for each token of each prompt: its row of the embedding. One layer stands for all. */
function embeddedTokens(
  embedding: TensorView,
  tokens: readonly Int32Array[],
  numbers: readonly PromptNumbers[],
  addon: Addon,
): Vectors {
  const starts: number[] = [];
  let count = 0;
  for (const ids of tokens) {
    starts.push(count);
    count += ids.length;
  }
  const ids = new Int32Array(count);
  tokens.forEach((own, prompt) => {
    ids.set(own, starts[prompt] as number);
  });
  const tokensOf = (prompts: readonly number[]) =>
    Int32Array.from(
      prompts.flatMap((prompt) => Array.from(tokens[prompt] ?? [], (_, i) => (starts[prompt] as number) + i)),
    );
  const experts = numbers.map(({ positive, negative }) => ({
    positive: tokensOf(positive),
    negative: tokensOf(negative),
  }));
  const sources = new Map<string, number>();
  const open = (file: string) => {
    const source = sources.get(file) ?? addon.openSource(file).handle;
    sources.set(file, source);
    return source;
  };
  try {
    const [rows = 0, columns = 0] = embedding.shape;
    const vectors = addon.gatherRows({ ...nativeTensor(embedding, open), rows, columns, ids });
    return { vectors, layers: 1, experts, part: "direction" };
  } finally {
    for (const source of sources.values()) addon.close(source);
  }
}

/** A vector for each prompt in each layer: the hidden state that the layer is given. */
async function hiddenVectors(
  mode: GateMode,
  { base, tokens, numbers }: { base: PlanModel; tokens: readonly Int32Array[]; numbers: readonly PromptNumbers[] },
  addon: Addon,
  report: Report,
  options: RunOptions,
): Promise<Vectors> {
  const [{ readDecoder }, { hiddenStates }, { onTheCpu }] = await Promise.all([
    import("../forward/decoder.ts"),
    import("../forward/hidden-states.ts"),
    import("../forward/run.ts"),
  ]);
  const decoder = readDecoder(base, report);
  if (decoder === undefined) throw new SinterError(report.errors);
  const state = mode === "hidden_avg" ? "average" : "last";
  const { values, layers } = await hiddenStates(
    decoder,
    tokens,
    state,
    { ...options, onDeviceFailure: (reason) => report.warn(onTheCpu(reason)) },
    addon,
  );
  const experts = numbers.map(({ positive, negative }) => ({
    positive: Int32Array.from(positive),
    negative: Int32Array.from(negative),
  }));
  return { vectors: values, layers, experts, part: "mean" };
}

function notFinite({ base }: MixtureModels): Problem {
  return {
    code: "gates-not-finite",
    message: "the prompts' vectors hold a NaN or an infinity: the weights of the model are broken",
    at: base.at,
    model: base.model.name,
  };
}
