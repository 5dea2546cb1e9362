import { cosineText, normText, rateText, secondsText, shareText } from "../report/figures.ts";
import { shortNames } from "../report/names.ts";
import { type BenchResult, type Effect, gigabytesPerSecond } from "./types.ts";

const HEAD = ["", "SECONDS", "GB/S", "CHANGE", "RELATIVE", "COSINES", "CONFLICTS", "DENSITY"];

/** The result on a terminal: a line for each model and each method, then what was skipped and what the figures mean. */
export function benchText(result: BenchResult): string {
  const names = shortNames(result.models);
  const models = result.modelEffects.map(({ effects }, i) => [names[i] ?? "", "", "", ...effectCells(total(effects))]);
  const methods = result.measured.map((measured) => [
    measured.method,
    secondsText(measured.seconds),
    rateText(gigabytesPerSecond(measured)),
    ...effectCells(total(measured.effects)),
  ]);
  const lines = aligned([HEAD, ...models, ...methods]);
  const [head = "", ...rows] = lines;
  const table = [head, ...rows.slice(0, models.length), "", ...rows.slice(models.length)];
  const skipped = result.skipped.map(({ method, reason }) => `${method}: ${reason}`);
  const parts = [
    table,
    ...(skipped.length === 0 ? [] : [["Skipped:", ...skipped.map((line) => `  ${line}`)]]),
    benchNotes(result),
  ];
  return `${parts.map((part) => part.join("\n")).join("\n\n")}\n`;
}

/** What one needs to know to read the figures, as sentences. */
export function benchNotes(result: BenchResult): string[] {
  const { base, reference, repeat, machine, measured } = result;
  const notes = [
    base === undefined
      ? `Changes are measured against ${reference}, the first model, because no --base is given.`
      : `Changes are measured against the base, ${reference}.`,
    `Cosines: to the change of ${shortNames(result.models).join(", ")}, in this order.`,
    `${repeat === 1 ? "One run" : `Median of ${repeat} runs`} each, on the CPU (${machine.target}, ${machine.threads} ` +
      `${machine.threads === 1 ? "thread" : "threads"}); every input was read once before the first.`,
  ];
  if (!result.sync) notes.push("No run waits until the disk has the output.");
  if (result.scratchInMemory) {
    notes.push("The outputs lay in memory (tmpfs), not on a disk: --out names a folder on the disk to measure.");
  }
  const left = measured.filter(({ notCompared }) => notCompared.length > 0);
  for (const { method, notCompared } of left) {
    notes.push(`${method}: without counterpart in the models, and not compared: ${notCompared.join(", ")}.`);
  }
  return notes;
}

function effectCells(effect: Effect): string[] {
  return [
    normText(effect.changeNorm),
    shareText(effect.relativeChange),
    effect.cosines.map(cosineText).join(" "),
    shareText(effect.signConflicts),
    shareText(effect.density),
  ];
}

/** The effect on all parts together: the last. */
export function total(effects: readonly Effect[]): Effect {
  return effects.at(-1) as Effect;
}

/** Columns two spaces apart: the first starts at the left, the others end at the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
