import { type Problem, SinterError } from "../errors.ts";
import type { TensorView } from "../model/types.ts";
import type { Addon, NativeForwardResult, NativeLayer } from "../native.ts";
import { nativeTensor } from "../run/native-inputs.ts";
import type { Decoder } from "./decoder.ts";
import type { Rotary } from "./rotary.ts";
import type { RunOptions, StateMode } from "./types.ts";

/** What is wanted of sequences. */
export interface Wanted {
  states: StateMode | "none";
  logProbabilities: boolean;
}

/** Tokens that go through the layers together: enough to keep the cores busy for each weight that is read. */
const CHUNK_TOKENS = 4096;

/** Some of the sequences, of one rotary embedding: what goes through the layers together. */
interface Chunk {
  rotary: Rotary;
  sequences: Int32Array[];
  tokens: number;
}

/**
 * Runs sequences through a decoder, some at a time, and calls `use` with what each chunk gives, in order.
 * @param use is given the number of its first sequence besides.
 * @throws SinterError where a file fails, or the signal's reason.
 */
export async function runDecoder(
  decoder: Decoder,
  sequences: Iterable<Int32Array>,
  wanted: Wanted,
  addon: Addon,
  options: RunOptions,
  use: (result: NativeForwardResult, first: number, sequences: readonly Int32Array[]) => void,
): Promise<void> {
  const files = new OpenFiles(addon, decoder.name);
  const stop = () => addon.cancel();
  options.signal?.addEventListener("abort", stop);
  try {
    const native = nativeDecoder(decoder, files);
    let first = 0;
    let done = 0;
    let device = options.device;
    for (const chunk of chunksOf(decoder, sequences)) {
      options.signal?.throwIfAborted();
      const result = await addon.forward({
        ...native,
        frequencies: chunk.rotary.frequencies,
        rotaryScale: chunk.rotary.scale,
        ids: joined(chunk),
        lengths: chunk.sequences.map((ids) => ids.length),
        ...wanted,
        device,
      });
      if (result.deviceFailure !== undefined) {
        options.onDeviceFailure?.(result.deviceFailure);
        device = undefined;
      }
      use(result, first, chunk.sequences);
      first += chunk.sequences.length;
      done += chunk.tokens;
      options.onTokens?.(done);
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error instanceof SinterError ? error : forwardFailure(error, decoder.name);
  } finally {
    options.signal?.removeEventListener("abort", stop);
    files.closeAll();
  }
}

function* chunksOf(decoder: Decoder, sequences: Iterable<Int32Array>): Generator<Chunk> {
  let chunk: Chunk | undefined;
  for (const ids of sequences) {
    const rotary = decoder.rotaryOf(ids.length);
    if (chunk !== undefined && (chunk.rotary !== rotary || chunk.tokens + ids.length > CHUNK_TOKENS)) {
      yield chunk;
      chunk = undefined;
    }
    chunk ??= { rotary, sequences: [], tokens: 0 };
    chunk.sequences.push(ids);
    chunk.tokens += ids.length;
  }
  if (chunk !== undefined) yield chunk;
}

function joined({ sequences, tokens }: Chunk): Int32Array {
  const ids = new Int32Array(tokens);
  let at = 0;
  for (const one of sequences) {
    ids.set(one, at);
    at += one.length;
  }
  return ids;
}

function nativeDecoder({ shape, weights }: Decoder, files: OpenFiles) {
  const weight = (view: TensorView) => nativeTensor(view, (file) => files.open(file));
  const layers = weights.layers.map((layer, index) => {
    const parts = Object.entries(layer).map(([name, view]) => [name, weight(view)]);
    return { ...Object.fromEntries(parts), window: shape.windows[index] as number } as NativeLayer;
  });
  return {
    width: shape.width,
    heads: shape.heads,
    keyHeads: shape.keyHeads,
    headSize: shape.headSize,
    intermediate: shape.intermediate,
    vocabulary: weights.vocabulary,
    epsilon: shape.epsilon,
    embedding: weight(weights.embedding),
    layers,
    norm: weight(weights.norm),
    ...(weights.head === undefined ? {} : { head: weight(weights.head) }),
  };
}

/** The mapped files of one run. */
class OpenFiles {
  readonly #addon: Addon;
  readonly #model: string;
  readonly #handles = new Map<string, number>();

  constructor(addon: Addon, model: string) {
    this.#addon = addon;
    this.#model = model;
  }

  open(path: string): number {
    const known = this.#handles.get(path);
    if (known !== undefined) return known;
    try {
      const { handle } = this.#addon.openSource(path);
      this.#handles.set(path, handle);
      return handle;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new SinterError({ code: "source-open", message: `cannot open: ${reason}`, path, model: this.#model });
    }
  }

  closeAll(): void {
    for (const handle of this.#handles.values()) this.#addon.close(handle);
    this.#handles.clear();
  }
}

/** The warning of a pass whose device failed. */
export function onTheCpu(reason: string): Problem {
  return { code: "device-failed", message: `the CPU multiplies with the weights: ${reason}` };
}

function forwardFailure(error: unknown, model: string): SinterError {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof Error && (error as { code?: unknown }).code === "SOURCE_FAILED") {
    return new SinterError({
      code: "source-failed",
      message: reason,
      model,
      hint: "leave the model's files as they are while it runs, check the disk, and run again",
    });
  }
  if (error instanceof Error && (error as { code?: unknown }).code === "DEVICE_FAILED") {
    return new SinterError({
      code: "device-failed",
      message: `the forward pass failed on the device: ${reason}`,
      model,
      hint: "run it with --device auto, which goes on on the CPU where a device fails, or with --device cpu",
    });
  }
  return new SinterError({ code: "internal", message: `the forward pass failed: ${reason}`, model });
}
