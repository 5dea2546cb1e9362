import type { Addon } from "../native.ts";
import type { RunEvents, RunProgress } from "./types.ts";

/** Milliseconds between two looks at how far native code has come with what is under way. */
const LOOK_MS = 100;

/**
 * How far a pass over tensors is. Told whenever a tensor ends, and ten times a second in between: a tensor may take minutes,
 * and nobody should take that for a standstill.
 */
export class PassProgress {
  #phase: RunProgress["phase"];
  readonly #totalBytes: number;
  readonly #addon: Pick<Addon, "underway">;
  readonly #events: Pick<RunEvents, "progress">;
  readonly #timer: ReturnType<typeof setInterval>;
  /** Tensors under way, the oldest first, by the numbers of their ops. */
  readonly #underway = new Map<number, string>();
  #hasBegun = false;
  #bytes = 0;
  #earlierBytes = 0;
  /** Never less than was told before. */
  #told = 0;
  #last = "";

  constructor(
    phase: RunProgress["phase"],
    totalBytes: number,
    addon: Pick<Addon, "underway">,
    events: Pick<RunEvents, "progress">,
  ) {
    this.#phase = phase;
    this.#totalBytes = totalBytes;
    this.#addon = addon;
    this.#events = events;
    this.#timer = setInterval(() => this.tell(), LOOK_MS);
  }

  begun(op: number, tensor: string): void {
    this.#underway.set(op, tensor);
    // Whoever works out a rate wants to know when it began.
    if (!this.#hasBegun) this.tell();
    this.#hasBegun = true;
  }

  /** @param earlier whether an earlier run did the work. */
  ended(op: number, bytes: number, earlier = false): void {
    this.#last = this.#underway.get(op) ?? this.#last;
    this.#underway.delete(op);
    this.#bytes += bytes;
    if (earlier) this.#earlierBytes += bytes;
    this.tell();
  }

  tell(): void {
    const [oldest = this.#last] = this.#underway.values();
    const underway = this.#underway.size === 0 ? 0 : Math.floor(this.#addon.underway());
    // Only what has ended is all of it.
    const reached = Math.min(this.#bytes + underway, Math.max(this.#bytes, this.#totalBytes - 1));
    this.#told = Math.max(this.#told, reached);
    this.#events.progress({
      phase: this.#phase,
      bytes: this.#told,
      totalBytes: this.#totalBytes,
      earlierBytes: this.#earlierBytes,
      tensor: oldest,
    });
  }

  /** All is computed, and the disk is waited for. */
  syncing(): void {
    this.#phase = "syncing";
    this.tell();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
