import type { Problem, Report } from "../errors.ts";
import type { Model } from "../model/types.ts";
import { someNames } from "./names.ts";
import type { Adapter } from "./types.ts";

/** What does not fit between an adapter and a model: one problem for each kind, whatever the number of modules. */
export class Problems {
  readonly unknown: string[] = [];
  readonly unfit: string[] = [];
  readonly ranks: string[] = [];
  readonly biasless: string[] = [];
  readonly twice: string[] = [];
  readonly untargeted: string[] = [];
  readonly leftOut: string[] = [];
  readonly missing: string[] = [];
  isEmpty = false;

  report({ name, config, weightFiles }: Adapter, model: Model, report: Report): void {
    const path = weightFiles[0]?.path;
    const made = config.base === undefined ? "" : `: its adapter_config.json names ${config.base}`;
    const other = `is the adapter for another base${made}?`;
    const error = (code: string, list: readonly string[], message: string, hint?: string) => {
      if (list.length > 0) report.error({ code, message: `${message}: ${someNames(list)}`, path, hint });
    };
    error("adapter-modules", this.unknown, `${name} changes modules that ${model.ref.model.path} does not have`, other);
    error("adapter-shapes", this.unfit, `${name} does not fit ${model.ref.model.path}`, other);
    error("adapter-rank", this.ranks, "the adapter's ranks are not those of its configuration");
    const noBias = "PEFT merges no such adapter either: train it with lora_bias: false";
    error("adapter-bias", this.biasless, "the adapter adds biases (lora_bias) to layers that have none", noBias);
    error("adapter-overlap", this.twice, "the adapter changes the same rows of a tensor twice");
    const warn = (code: string, list: readonly string[], message: string) => {
      if (list.length > 0) report.warn({ code, message: `${message}: ${someNames(list)}`, path } satisfies Problem);
    };
    warn("adapter-untargeted", this.untargeted, "left out, because target_modules does not name them, as in PEFT");
    warn("adapter-extra", this.leftOut, "the adapter holds tensors that the model does not have: left out");
    const without = "the adapter has nothing for modules that its adapter_config.json names: they stay as in the base";
    if (!this.isEmpty && report.errors.length === 0) warn("adapter-partial", this.missing, without);
    if (this.isEmpty && report.errors.length === 0) {
      report.error({ code: "adapter-empty", message: `the adapter ${name} changes nothing`, path, hint: other });
    }
  }
}
