import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface GpuReport {
  /** Whether there is an NVIDIA device, with a driver or without. */
  device: boolean;
  /** Whether a driver that could run CUDA programs is there, too. */
  present: boolean;
  /** What was found, or why there is none. */
  text: string;
}

const DRIVER_LIBRARY = "libcuda.so.1";
const LIBRARY_FOLDERS = ["/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib/wsl/lib"];

/** Looks for an NVIDIA driver by its files. Nothing is loaded and no device is opened. */
export function findGpu(): GpuReport {
  const none = { device: false, present: false };
  if (process.platform !== "linux") return { ...none, text: "none: looked for on Linux only" };
  const device = hasDevice();
  const library = hasDriverLibrary();
  if (device && library) return { device, present: true, text: `NVIDIA driver${driverVersion()}` };
  if (device)
    return { device, present: false, text: `a device without its driver library (${DRIVER_LIBRARY} is missing)` };
  if (library) return { ...none, text: `none: the driver library is there, but no device (/dev/nvidia0)` };
  return { ...none, text: "none: no NVIDIA device (/dev/nvidia0) and no driver library" };
}

/** A container may be given any of them: /dev/nvidia3 alone. */
function hasDevice(): boolean {
  try {
    return readdirSync("/dev").some((name) => name === "dxg" || /^nvidia\d+$/.test(name));
  } catch {
    return false;
  }
}

function hasDriverLibrary(): boolean {
  const own = (process.env.LD_LIBRARY_PATH ?? "").split(":").filter((folder) => folder !== "");
  if ([...own, ...LIBRARY_FOLDERS].some((folder) => existsSync(join(folder, DRIVER_LIBRARY)))) return true;
  try {
    return readFileSync("/etc/ld.so.cache").includes(DRIVER_LIBRARY);
  } catch {
    return false;
  }
}

function driverVersion(): string {
  try {
    const version = /Kernel Module(?: for \S+)?\s+([\d.]+)/.exec(readFileSync("/proc/driver/nvidia/version", "utf8"));
    return version ? ` ${version[1]}` : "";
  } catch {
    return "";
  }
}
