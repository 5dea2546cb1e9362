import type { DeviceRequest } from "./devices.ts";

/*
 * How a device's memory, and the host memory that copies to it go through, are divided. Numbers are those of native/device;
 * a test holds them to it.
 */

/** Host memory for copies to each device: `kUsualPinned` in pipeline.h; and where little is wanted. */
export const USUAL_PINNED = 192 << 20;
export const LOW_PINNED = 16 << 20;

/** Of a device's free memory, where nothing else is said: `kShareOfFree` in pipeline.cc. */
export const SHARE_OF_FREE = 0.9;

/** Slots of a device, each with an op at a time: one for so much host memory, at most so many: `staging_of` in slot.h. */
export const SLOT_PINNED = 64 << 20;
export const MOST_SLOTS = 3;

/** A slot gets at least this much of the device's memory where there are several: `kSlotMemory` in pipeline.cc. */
export const SLOT_MEMORY = 256 << 20;

/**
 * With less, a device is of no use: two slices of the smallest part that is computed at a time (65,536 elements) of 16
 * models in float32, and their output, take 9 MB (slices.h).
 */
export const LEAST_MEMORY = 16e6;

type Limits = Pick<DeviceRequest, "memory" | "lowMemory">;

/** Host memory for copies to one device, in bytes. */
export function pinnedOf({ lowMemory }: Limits): number {
  return lowMemory ? LOW_PINNED : USUAL_PINNED;
}

/**
 * Bytes of a device's memory that one op gets.
 * @param free bytes that are free there.
 */
export function slotMemory(limits: Limits, free: number): number {
  const memory = limits.memory ?? Math.trunc(SHARE_OF_FREE * free);
  const most = clamp(Math.trunc(pinnedOf(limits) / SLOT_PINNED), 1, MOST_SLOTS);
  return Math.trunc(memory / clamp(Math.trunc(memory / SLOT_MEMORY), 1, most));
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
