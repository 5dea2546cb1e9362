import { adapterPlan } from "./adapter-plan.ts";
import type { ExtractRequest, PreparedExtraction } from "./extract.ts";
import { extracted, makeRoom, withCommonRanks } from "./rooms.ts";

/** What an extraction comes to at most: ranks that the energy or an epsilon decides are known only afterwards. */
export interface ExtractionBound {
  modules: { module: string; rank: number; shape: readonly number[] }[];
  /** Whether ranks and sizes are what they will be. */
  exact: boolean;
  /** The adapter's weights. */
  bytes_written: number;
  /** Factors that are kept beside the output until the adapter is written. */
  bytes_beside: number;
  saved_whole: string[];
  left_out: string[];
}

/** Computes nothing, and reads no tensor. */
export function boundOf({ options, safeSerialization }: ExtractRequest, prepared: PreparedExtraction): ExtractionBound {
  const { tuned, base, plan } = prepared;
  const { rooms, size } = makeRoom(plan.modules, options);
  const path = "adapter_factors";
  const full = (rank: number) => ({
    rank,
    energy: 1,
    kept: 1,
    largest: 1,
    smallest: 1,
    iterations: 0,
    onDevice: false,
  });
  const modules = withCommonRanks(
    rooms.map((room) => extracted(room, full(room.rank), path, options)),
    rooms,
  );
  const written = adapterPlan(
    { extraction: plan, modules, options },
    { tuned: tuned.model, base: base.model },
    {
      method: "extract_lora",
      card: undefined,
      safeSerialization,
      factors: { path, size },
    },
  );
  return {
    modules: modules.map((module, i) => ({
      module: module.path,
      rank: module.rank,
      shape: rooms[i]?.module.weight.tuned.shape ?? [],
    })),
    exact: options.energy === undefined && options.svEpsilon === 0,
    bytes_written: written.totals.bytesWritten,
    bytes_beside: size,
    saved_whole: plan.saved.map(({ name }) => name),
    left_out: [...plan.leftOut],
  };
}
