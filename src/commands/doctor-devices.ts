import type { NativeDevice, NativeDevices } from "../native.ts";
import type { Rates } from "../run/device-cost.ts";
import { formatBytes } from "../run/units.ts";

/** The oldest NVIDIA driver for Linux that runs what a CUDA toolkit of a major version built (CUDA's release notes). */
const LEAST_DRIVER: Readonly<Record<string, string>> = { 12: "525.60.13", 13: "580.65.06" };

/** What `sinter doctor` says of the library for CUDA devices and of each of them, a line each. */
export function cudaRows({ path, devices, lack }: NativeDevices): string[][] {
  if (lack !== undefined) return [["CUDA", `not used: ${lack.message}`]];
  const runtime = devices.find(({ failure }) => failure === undefined)?.runtime;
  const needed = runtime === undefined ? "" : `, built with CUDA ${runtime}${neededDriver(runtime)}`;
  return [["CUDA", `${path}${needed}`], ...devices.map((device, i) => [`cuda:${i}`, deviceText(device)])];
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
