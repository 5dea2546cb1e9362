import { readFileSync, statSync } from "node:fs";
import { Report } from "../errors.ts";
import { type Decoder, readDecoder } from "../forward/decoder.ts";
import { type Perplexity, perplexity, type Windows } from "../forward/perplexity.ts";
import { onTheCpu } from "../forward/run.ts";
import { readEncoder } from "../forward/tokens.ts";
import { forwardDevice } from "../run/devices.ts";
import { fileProblem } from "../run/file-error.ts";
import { withSignals } from "../run/signals.ts";
import { formatSeconds } from "../run/units.ts";
import { deviceRequest } from "./device.ts";
import type { EvalOptions } from "./eval.ts";
import { loadAddon } from "./execute-merge.ts";
import { openNamedModel, understandModel } from "./open-model.ts";
import { formatPerplexity } from "./perplexity-text.ts";
import { shownMeter } from "./progress.ts";
import { printProblems, printSummary } from "./terminal.ts";

/** Tokens of a window where the command line names none. */
const USUAL_WINDOW = 2048;

/** Bytes of text: it is tokenized as a whole. */
const MOST_TEXT = 64e6;

/**
 * Measures the perplexity of a model on a text file, and prints it.
 * @returns the exit code. @throws SinterError with everything that is wrong, before any work.
 */
export async function executeEval(name: string, options: EvalOptions & { text: string }): Promise<number> {
  const report = new Report();
  const text = readText(options.text, report);
  const found = openNamedModel(name, options.cacheDir);
  const forward = understandModel(found, options.architectures);
  const decoder = readDecoder(forward, report);
  const encode = readEncoder(forward.model, report);
  const windows = decoder && windowsFor(decoder, options, report);
  report.throwIfErrors();
  printProblems("warning", report.warnings);
  const request = deviceRequest({ ...options, device: options.device ?? "cpu", multiGpu: false, lowCpuMemory: false });
  const addon = loadAddon({ threads: options.threads, target: "auto" });
  const device = forwardDevice(request, addon);
  const onDeviceFailure = (reason: string) => printProblems("warning", [onTheCpu(reason)]);
  const all = (encode as NonNullable<typeof encode>)(text as string);
  const ids = all.subarray(0, options.maxTokens);
  const start = performance.now();
  const meter = shownMeter("evaluating", options.quiet);
  const counted = { unit: "tokens", totalBytes: ids.length, earlierBytes: 0, item: options.text, waiting: undefined };
  const onTokens = (done: number) => meter.show({ ...counted, bytes: done });
  const result = await withSignals(
    (signal) =>
      perplexity(
        decoder as Decoder,
        ids,
        windows as Windows,
        { signal, onTokens, device, onDeviceFailure },
        addon,
      ).finally(() => meter.end()),
    undefined,
    "nothing was measured",
  );
  const seconds = (performance.now() - start) / 1000;
  // The rest of a text that was cut has its share of the bytes.
  const bytes = (Buffer.byteLength(text as string) * ids.length) / all.length;
  const bitsPerByte = (result.loss * result.tokens) / Math.LN2 / bytes;
  const summary = { ...result, bitsPerByte, ...(windows as Windows), seconds };
  await printSummary(jsonOf(name, summary), textOf(name, summary), options.json);
  return 0;
}

function readText(path: string, report: Report): string | undefined {
  try {
    const { size } = statSync(path);
    if (size > MOST_TEXT) {
      const message = `the text has ${size} bytes, more than ${MOST_TEXT}`;
      report.error({ code: "long-text", message, path, hint: "take a part of it: a few MB say as much" });
      return undefined;
    }
    const text = readFileSync(path, "utf8");
    if (text.trim() !== "") return text;
    report.error({ code: "no-text", message: "the text is empty", path });
  } catch (error) {
    report.error(fileProblem("cannot read the text", path, error));
  }
  return undefined;
}

function windowsFor({ shape, name }: Decoder, options: EvalOptions, report: Report): Windows {
  const window = options.window ?? Math.min(USUAL_WINDOW, shape.positions);
  const stride = options.stride ?? window;
  if (stride > window) {
    const message = `--stride ${stride} is longer than a window of ${window} tokens: it would leave tokens out`;
    report.error({ code: "option-value", message });
  }
  if (window > shape.positions) {
    const message = `a window of ${window} tokens is longer than the ${shape.positions} positions that the model is for`;
    report.warn({ code: "long-window", message, model: name });
  }
  return { window, stride };
}

type Summary = Perplexity & Windows & { bitsPerByte: number; seconds: number };

function jsonOf(model: string, summary: Summary) {
  const { bitsPerByte, ...rest } = summary;
  return { model, ...rest, bits_per_byte: bitsPerByte };
}

function textOf(model: string, found: Summary): string {
  const bits = found.bitsPerByte.toFixed(4);
  return (
    `${model}: perplexity ${formatPerplexity(found.perplexity)} (${found.loss.toFixed(4)} nats a token, ${bits} bits a byte)\n` +
    `${found.scored} of ${found.tokens} tokens scored, windows of ${found.window}, stride ${found.stride}, ` +
    `${formatSeconds(found.seconds)}\n`
  );
}
