import type { PickleValue, TorchStorage } from "./pickle-values.ts";

/** The largest pickle that is read, in bytes: about 130 are needed for a tensor, so this is enough for a million. */
export const MAX_PICKLE_BYTES = 128 << 20;

/** What `torch.save` wrote, in whichever of its formats: the pickled value, and where storages lie. */
export interface TorchContainer {
  root: PickleValue;
  /** Classes and functions in it that no state dict needs: nothing of them was run. */
  foreign: readonly string[];
  /**
   * Where the bytes of a storage begin, from the start of the file; all `storage.bytes` of them lie in the file.
   * @throws FormatError where they do not.
   */
  locate(storage: TorchStorage): number;
}
