import { SinterError } from "../errors.ts";
import type { Rates } from "../run/device-cost.ts";
import { fingerprintOf, keepRates } from "../run/device-rates.ts";
import { deviceLibrary } from "../run/devices.ts";
import { measureRates } from "../run/measure-rates.ts";
import { nativeProblem } from "../run/native-error.ts";
import { loadAddon } from "./execute-merge.ts";
import { writeError } from "./terminal.ts";

/**
 * Measures the CPU and the first CUDA device, and keeps what was found.
 * @throws SinterError where there is no device, or it fails.
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
  const rates = await measureRates(addon, 0, library, tell).catch((error: unknown) => {
    throw new SinterError(nativeProblem(error, {}));
  });
  const file = keepRates({ fingerprint: fingerprintOf(devices, addon.info().threads), rates });
  if (!quiet) writeError(`kept in ${file}\n`);
  return rates;
}
