import { dlopen, FFIType, ptr } from "bun:ffi";
import { dirname, join } from "node:path";
import { type DirectUse, native } from "../../src/native.ts";

/** The library for accelerators that works in host memory, of the same build as the addon. */
export const HOST_LIBRARY = join(
  process.env.SINTER_ADDON ? dirname(process.env.SINTER_ADDON) : join(import.meta.dir, "../../build/Release"),
  "libsinter_host_device.so",
);

const { symbols } = dlopen(HOST_LIBRARY, {
  sinter_host_device_tell: { args: [FFIType.cstring], returns: FFIType.void },
  sinter_host_device_count: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.void },
  sinter_host_cufile_count: { args: [FFIType.ptr], returns: FFIType.void },
  sinter_host_cufile_reset: { args: [], returns: FFIType.void },
});

/** Says what the devices are to do from now on, as native/device/host-device.cc lists; counts begin anew. */
export function tell(text: string): void {
  symbols.sinter_host_device_tell(Buffer.from(`${text}\0`));
  symbols.sinter_host_cufile_reset();
}

/** What a device did since it was told something. */
export function counts(device = 0) {
  const numbers = new BigUint64Array(5);
  symbols.sinter_host_device_count(device, ptr(numbers));
  const [memory = 0, pinned = 0, held = 0, calls = 0, passes = 0] = Array.from(numbers, Number);
  return { memory, pinned, held, calls, passes };
}

/**
 * What was read past the host's memory since the last `tell`, what is registered with cuFile now, and how often its driver was
 * opened at all.
 */
export function directReads() {
  const numbers = new BigUint64Array(5);
  symbols.sinter_host_cufile_count(ptr(numbers));
  const [files = 0, memories = 0, reads = 0, bytes = 0, drivers = 0] = Array.from(numbers, Number);
  return { files, memories, reads, bytes, drivers };
}

export interface Use {
  devices?: number[];
  memory?: number;
  pinned?: number;
  strict?: boolean;
  /** Whether files are read straight into the devices' memory; not at all unless given. */
  direct?: DirectUse;
  /** Another cuFile than that of the host's library. */
  cufile?: string;
}

/** Runs something while ops may go to devices in host memory that were told `orders`. */
export async function onDevices<T>(orders: string, use: Use, run: () => Promise<T>): Promise<T> {
  const addon = native();
  tell(orders);
  const cufile = use.direct === undefined ? undefined : HOST_LIBRARY;
  addon.useDevices({ library: HOST_LIBRARY, devices: [0], pinned: 20_000_000, strict: true, cufile, ...use });
  try {
    return await run();
  } finally {
    await leaveDevices();
    tell("");
  }
}

/** Of several ops a test hears of the first that fails: the others may still be under way, however long that takes. */
async function leaveDevices(): Promise<void> {
  for (;;) {
    try {
      return native().useDevices();
    } catch {
      await Bun.sleep(10);
    }
  }
}
