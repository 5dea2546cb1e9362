import type { Addon } from "../native.ts";
import type { OpInput } from "../plan/types.ts";
import { measureAll, measuredBytes, type NativeInputs } from "../run/measure.ts";
import type { RunEvents } from "../run/types.ts";
import { differenceOf, type TensorSums } from "./figures.ts";
import type { CellDifference, DiffResult, GroupDifference, Pair, Pairing, TensorDifference } from "./types.ts";

/** Most thresholds of one comparison: what native code has room for. */
export const MOST_THRESHOLDS = 8;

/**
 * Reads every pair of tensors once and says how they differ.
 * @param thresholds not negative, at most `MOST_THRESHOLDS`.
 * @throws SinterError for the first failure, or the signal's reason.
 */
export async function runDiff(
  { pairs, exact, onlyLeft, onlyRight, notCompared, notes }: Pairing,
  names: Pick<DiffResult, "left" | "right" | "base">,
  thresholds: readonly number[],
  addon: Addon,
  signal: AbortSignal | undefined,
  events: RunEvents,
): Promise<DiffResult> {
  const start = performance.now();
  const items = [
    ...pairs.map((pair) => ({ ...pair, count: pair.elements, isExact: false })),
    ...exact.map((pair) => ({ ...pair, count: pair.elements, isExact: true })),
  ];
  const found = await measureAll(
    items,
    async (item, inputs): Promise<Float64Array | boolean> => {
      if (item.isExact) return await areSame(item, inputs, addon);
      return await addon.difference({ ...inputs, count: item.count, rows: Math.max(1, item.rows), thresholds });
    },
    addon,
    signal,
    events,
  );
  const sums = found.slice(0, pairs.length) as Float64Array[];
  const measured = pairs.map((pair, i): Measured => {
    return { pair, sums: { elements: pair.elements, sums: sums[i] as Float64Array, withBase: pair.inputs.length > 2 } };
  });
  return {
    ...names,
    thresholds,
    total: differenceOf(sumsOf(measured), thresholds),
    modules: grouped(measured, ({ module }) => module, thresholds),
    layers: grouped(measured, ({ layer }) => layer, thresholds),
    cells: cellsOf(measured, thresholds),
    tensors: measured.map(({ pair: { tensor, module, layer }, sums }): TensorDifference => {
      return { tensor, module, layer, ...differenceOf([sums], thresholds) };
    }),
    exact: exact.map(({ tensor }, i) => ({ tensor, same: found[pairs.length + i] === true })),
    onlyLeft,
    onlyRight,
    notCompared,
    notes,
    bytesRead: items.reduce((bytes, item) => bytes + measuredBytes(item), 0),
    seconds: (performance.now() - start) / 1000,
  };
}

/** Whether two tensors have the same bytes: by their checksums, of 128 bits each. */
async function areSame(
  { count, rows, tensor, inputs }: Pair & { count: number },
  given: NativeInputs,
  addon: Addon,
): Promise<boolean> {
  const dtype = (inputs[0] as OpInput).view.dtype;
  const checksums = await Promise.all(
    given.inputs.map((input) =>
      addon.checksum({
        kernel: "copy",
        inputs: [input],
        count,
        rows: Math.max(1, rows),
        columns: count,
        params: [],
        seed: 0,
        tensor,
        dtype,
      }),
    ),
  );
  return new Set(checksums.map(({ checksum }) => checksum)).size === 1;
}

interface Measured {
  pair: Pair;
  sums: TensorSums;
}

function sumsOf(measured: readonly Measured[]): TensorSums[] {
  return measured.map(({ sums }) => sums);
}

function grouped(
  measured: readonly Measured[],
  nameOf: (pair: Pair) => string | undefined,
  thresholds: readonly number[],
): GroupDifference[] {
  const groups = Map.groupBy(measured, ({ pair }) => nameOf(pair));
  return [...groups].flatMap(([name, members]) =>
    name === undefined ? [] : [{ name, ...differenceOf(sumsOf(members), thresholds) }],
  );
}

function cellsOf(measured: readonly Measured[], thresholds: readonly number[]): CellDifference[] {
  const inLayers = measured.filter(({ pair }) => pair.layer !== undefined);
  const layers = Map.groupBy(inLayers, ({ pair }) => pair.layer as string);
  return [...layers].flatMap(([layer, members]) =>
    grouped(members, ({ module }) => module, thresholds).map(({ name, ...cell }) => ({ layer, module: name, ...cell })),
  );
}
