import { SinterError } from "../errors.ts";
import type { Rates } from "../run/device-cost.ts";
import { fingerprintOf, keepRates } from "../run/device-rates.ts";
import { deviceLibrary } from "../run/devices.ts";
import { measureRates } from "../run/measure-rates.ts";
import { nativeProblem } from "../run/native-error.ts";
import { loadAddon } from "./execute-merge.ts";
import { writeError } from "./terminal.ts";

/**
 * Measures the CPU and every CUDA device that can be used, and keeps what was found.
 * @throws SinterError where there is no device, or one fails.
 */
export async function executeMeasure(quiet: boolean): Promise<Rates> {
  const addon = loadAddon({ threads: 0, target: "auto" });
  const library = deviceLibrary();
  const { devices, lack } = addon.devices(library);
  if (lack !== undefined) {
    const hint = "without a GPU there is nothing to choose between: the CPU computes";
    throw new SinterError({ code: "no-device", message: lack.message, hint });
  }
  const tell = (what: string) => {
    if (!quiet) writeError(`measuring ${what}\n`);
  };
  const usable = [...devices.keys()].filter((number) => devices[number]?.failure === undefined);
  if (usable.length === 0) {
    const message = `cuda:0 cannot be used: ${devices[0]?.failure}`;
    throw new SinterError({
      code: "no-device",
      message,
      hint: "sinter doctor says what it finds of driver and devices",
    });
  }
  const rates = await measureRates(addon, usable, library, tell).catch((error: unknown) => {
    throw new SinterError(nativeProblem(error, {}));
  });
  const file = keepRates({ fingerprint: fingerprintOf(devices, addon.info().threads), rates });
  if (!quiet) writeError(`kept in ${file}\n`);
  return rates;
}
