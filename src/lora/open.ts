import { type Problem, Report } from "../errors.ts";
import type { NamedRef } from "../model/attribute.ts";
import { openModel } from "../model/folder.ts";
import { openRawModel } from "../model/raw.ts";
import { formatModelRef } from "../model/ref.ts";
import type { Model } from "../model/types.ts";

/** Where models are looked for, and the user's definitions of families. */
export interface OpenOptions {
  cacheDir: string | undefined;
  architectures?: string | undefined;
}

/** A way to open what a configuration names: `openReference`, or one that has adapters applied beforehand. */
export type OpenNamed = (named: NamedRef, report: Report) => Model | undefined;

/**
 * Opens what a configuration names: a model, with an adapter where one is named (`base+adapter`). The one place where
 * adapters are resolved: what comes after sees a model whose tensors carry patches.
 * @returns undefined where it cannot be used; the report says why, with model and position.
 */
export function openReference(named: NamedRef, options: OpenOptions, report: Report): Model | undefined {
  return withAdapter(named, openModel(named, options, report), options, report);
}

/** The same for tensors that go by their names: an adapter's modules are found by these. */
export function openRawReference(named: NamedRef, options: OpenOptions, report: Report): Model | undefined {
  return withAdapter(named, openRawModel(named, options, report), options, report);
}

function withAdapter(
  named: NamedRef,
  model: Model | undefined,
  options: OpenOptions,
  report: Report,
): Model | undefined {
  if (named.ref.lora === undefined) return model;
  // Most merges have no adapter, and these modules take milliseconds.
  const { openAdapter } = require("./folder.ts") as typeof import("./folder.ts");
  const { attachAdapter } = require("./attach.ts") as typeof import("./attach.ts");
  const name = formatModelRef({ model: named.ref.model, lora: named.ref.lora });
  const found = new Report();
  const adapter = openAdapter(named.ref.lora, options.cacheDir, found);
  const attached =
    model && adapter && found.errors.length === 0
      ? attachAdapter(model, adapter, options.architectures, found)
      : undefined;
  const attributed = (problem: Problem): Problem => ({ ...problem, at: named.at, model: name });
  for (const problem of found.errors) report.error(attributed(problem));
  for (const problem of found.warnings) report.warn(attributed(problem));
  return found.errors.length === 0 ? attached : undefined;
}
