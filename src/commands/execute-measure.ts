import { type Problem, SinterError } from "../errors.ts";
import type { NativeDevices } from "../native.ts";
import type { Rates } from "../run/device-cost.ts";
import { keepRates, ratesToKeep } from "../run/device-rates.ts";
import { deviceLibrary, leftOut, REMEDIES } from "../run/devices.ts";
import { measureRates } from "../run/measure-rates.ts";
import { nativeProblem } from "../run/native-error.ts";
import { loadAddon } from "./execute-merge.ts";
import { findGpu } from "./gpu.ts";
import { printProblems, writeError } from "./terminal.ts";

/**
 * Measures the CPU and every CUDA device that can be used, and keeps what was found. What cannot be measured is left out,
 * with a warning.
 * @throws SinterError where no device is left.
 */
export async function executeMeasure(quiet: boolean): Promise<Rates> {
  const addon = loadAddon({ threads: 0, target: "auto" });
  const library = deviceLibrary();
  const { devices, lack } = addon.devices(library);
  if (lack !== undefined) throw new SinterError(nothingToMeasure(lack));
  const tell = (what: string) => {
    if (!quiet) writeError(`measuring ${what}\n`);
  };
  const usable = devices.filter(({ failure }) => failure === undefined);
  const failed = devices.filter(({ failure }) => failure !== undefined);
  printProblems(
    "warning",
    failed.map(({ index, failure }) => leftOut(`cuda:${index} cannot be used: ${failure}`)),
  );
  if (usable.length === 0) throw new SinterError(noneLeft("no GPU can be used"));
  const numbers = usable.map(({ index }) => index);
  const { rates, warnings } = await measureRates(addon, numbers, library, tell).catch((error: unknown) => {
    throw new SinterError(nativeProblem(error, {}));
  });
  printProblems("warning", warnings);
  if (Object.keys(rates.devices).length === 0) throw new SinterError(noneLeft("no GPU could be measured"));
  const file = keepRates(ratesToKeep(rates, usable, addon.info().threads));
  if (!quiet) writeError(`kept in ${file}\n`);
  return rates;
}

function nothingToMeasure({ what, message }: NonNullable<NativeDevices["lack"]>): Problem {
  if (what !== "version" && !findGpu().device) {
    const hint = "without a GPU there is nothing to choose between: the CPU computes";
    return { code: "no-device", message, hint };
  }
  return { code: "no-device", message, hint: REMEDIES[what] };
}

const noneLeft = (message: string): Problem => ({
  code: "no-device",
  message,
  hint: "nothing was kept: what was measured before still counts",
});
