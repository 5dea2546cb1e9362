import { statSync } from "node:fs";
import { type Report, SinterError } from "../errors.ts";
import type { Addon } from "../native.ts";
import { filesOf } from "../plan/reads.ts";
import type { MergeOp, MergePlan } from "../plan/types.ts";
import { fileProblem } from "./file-error.ts";
import { nativeProblem } from "./native-error.ts";

const CHANGED = { code: "source-changed", hint: "plan again: run the same command once more" } as const;

/** Reports every input file that is no longer there or no longer as large as it was when the merge was planned. */
export function checkSources(plan: MergePlan, report: Report): void {
  for (const { path, size } of plan.inputFiles) {
    try {
      const now = statSync(path).size;
      if (now !== size) report.error({ ...CHANGED, message: changedMessage(size, now), path });
    } catch (error) {
      report.error(fileProblem("cannot read the input file", path, error));
    }
  }
}

function changedMessage(planned: number, now: number): string {
  return `the input file changed since the merge was planned: it had ${planned} bytes, now it has ${now}`;
}

/** The mapped input files of a run: each is opened for its first op and closed after its last. */
export class OpenSources {
  readonly #addon: Addon;
  readonly #sizes: ReadonlyMap<string, number>;
  readonly #handles = new Map<string, number>();
  /** Inputs of ops that have not ended, by file. */
  readonly #uses = new Map<string, number>();

  constructor(plan: MergePlan, addon: Addon) {
    this.#addon = addon;
    this.#sizes = new Map(plan.inputFiles.map(({ path, size }) => [path, size]));
    for (const op of plan.ops) {
      for (const file of op.inputs.flatMap(filesOf)) this.#uses.set(file, (this.#uses.get(file) ?? 0) + 1);
    }
  }

  /** @returns the file's handle. @throws SinterError where it cannot be opened or has another size than planned. */
  open(path: string, model: string, op: MergeOp): number {
    const known = this.#handles.get(path);
    if (known !== undefined) return known;
    const { handle, size } = this.#openFile(path, op);
    this.#handles.set(path, handle);
    const planned = this.#sizes.get(path);
    if (planned !== undefined && planned !== size) {
      throw new SinterError({ ...CHANGED, message: changedMessage(planned, size), path, model });
    }
    return handle;
  }

  #openFile(path: string, op: MergeOp): { handle: number; size: number } {
    try {
      return this.#addon.openSource(path);
    } catch (error) {
      throw new SinterError(nativeProblem(error, { op, path }));
    }
  }

  /** Says that an op has ended, well or not: files that no later op reads are closed. */
  release(op: MergeOp): void {
    for (const file of op.inputs.flatMap(filesOf)) {
      const left = (this.#uses.get(file) ?? 0) - 1;
      this.#uses.set(file, left);
      if (left === 0) this.#close(file);
    }
  }

  closeAll(): void {
    for (const path of [...this.#handles.keys()]) this.#close(path);
  }

  #close(path: string): void {
    const handle = this.#handles.get(path);
    if (handle === undefined) return;
    this.#handles.delete(path);
    this.#addon.close(handle);
  }
}
