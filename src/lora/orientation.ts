import type { Model } from "../model/types.ts";
import { factorsOfModule, orientations } from "./product.ts";
import type { AdapterModule } from "./types.ts";

/**
 * Whether modules that fit one way only say that weights are stored as [inputs, outputs].
 * @returns undefined where none says anything.
 */
export function storesTransposed({ tensors }: Model, modules: readonly AdapterModule[]): boolean | undefined {
  let straight: boolean | undefined;
  for (const module of modules) {
    const factors = module.isEmbedding ? undefined : factorsOfModule(module);
    const place = factors && tensors.get(`${module.path}.weight`);
    const fits = factors && place ? orientations(factors, place.shape) : [];
    if (fits.length === 1 && fits[0] === "transposed") return true;
    if (fits.length === 1) straight = false;
  }
  return straight;
}
