import type { Problem } from "../errors.ts";
import type { MeterReading } from "../run/progress.ts";

/** What a program is told while a command works; docs/events.md says what each event and key means. */
export interface EventLog {
  /** Whether the events go to standard output, which then has nothing else. */
  readonly onStandardOutput: boolean;
  event(name: string, values: Readonly<Record<string, unknown>>): void;
  /** At most ten a second of each phase; the last of a phase always. */
  progress(phase: string, reading: Omit<MeterReading, "phase">): void;
  warnings(problems: readonly Problem[]): void;
  /** What the event `done` will say: what the command printed last. */
  summary(summary: object): void;
}

let current: EventLog | undefined;

/** The log of the command that runs, where `--events` asked for one: one to a process, as standard error is. */
export function events(): EventLog | undefined {
  return current;
}

/** For whoever begins and ends a command. */
export function setEvents(log: EventLog | undefined): void {
  current = log;
}
