import type { NativeDevice, NativeDevices } from "../native.ts";
import type { Rates } from "../run/device-cost.ts";
import { REMEDIES } from "../run/devices.ts";
import { formatBytes } from "../run/units.ts";

/**
 * The oldest NVIDIA driver for Linux that runs the library as a CUDA toolkit of a major version built it (CUDA's release
 * notes). Of CUDA 12 it is that of 12.1: kernels have more parameters than 12.0 takes (native/cuda/library.cc).
 */
const LEAST_DRIVER: Readonly<Record<string, string>> = { 12: "530.30.02", 13: "580.65.06" };

/** What `sinter doctor` says of the library for CUDA devices and of each of them, a line each. */
export function cudaRows({ path, runtime, devices, lack }: NativeDevices): string[][] {
  const library = runtime === undefined ? path : `${path}, built with CUDA ${runtime}${neededDriver(runtime)}`;
  if (lack === undefined) {
    return [["CUDA", library], ...devices.map((device) => [`cuda:${device.index}`, deviceText(device)])];
  }
  // Where the library loads, what it needs is the remedy.
  const remedy = { library: `with an NVIDIA GPU: ${REMEDIES.library}`, version: REMEDIES.version, device: library };
  return [
    ["CUDA", `not used: ${lack.message}`],
    ["", remedy[lack.what]],
  ];
}

function neededDriver(runtime: string): string {
  const least = LEAST_DRIVER[runtime.split(".")[0] ?? ""];
  return least === undefined ? "" : `, needs driver ${least} or newer`;
}

function deviceText({ failure, name, memory, free, capability, driver, directStorage }: NativeDevice): string {
  if (failure !== undefined) return `cannot be used: ${failure}`;
  const storage = directStorage === undefined ? "" : `, GPUDirect Storage: ${directStorage}`;
  return (
    `${name}, ${formatBytes(memory)} of memory, ${formatBytes(free)} free, compute capability ${capability}, ` +
    `driver for CUDA ${driver}${storage}`
  );
}

/** What was measured, a line for each kind. */
export function rateRows({ read, cpu, devices }: Rates): string[][] {
  const each = (rates: Readonly<Record<string, number>>) =>
    Object.entries(rates)
      .map(([kernel, rate]) => `${kernel} ${formatBytes(rate)}/s`)
      .join(", ");
  return [
    ["Measured", `CPU: page cache ${formatBytes(read)}/s, ${each(cpu)}`],
    ...Object.entries(devices).map(([number, { upload, download, copy, kernels }]) => {
      const copies = `to it ${formatBytes(upload)}/s, back ${formatBytes(download)}/s, host copies ${formatBytes(copy)}/s`;
      return ["", `cuda:${number}: ${copies}, ${each(kernels)}`];
    }),
  ];
}
