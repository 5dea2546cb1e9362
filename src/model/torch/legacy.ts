import { type ByteFile, readStart, truncated } from "../byte-file.ts";
import { FormatError } from "../format-error.ts";
import { bigEndian } from "./archive.ts";
import { MAX_PICKLE_BYTES, type TorchContainer } from "./container.ts";
import { type Pickle, readPickle } from "./pickle-machine.ts";
import { PickleList, type PickleValue, type TorchStorage } from "./pickle-values.ts";

/** `MAGIC_NUMBER` and `PROTOCOL_VERSION` of PyTorch's `torch/serialization.py`. */
const MAGIC = 0x1950a86a20f9469cfc6cn;
const VERSION = 1001;
/** Bytes of the little-endian number of elements that stands before each storage. */
const COUNT_BYTES = 8;
/** Only the pickles say where they end: so much of the file is read first, and then each time so many times more. */
const FIRST_PART_BYTES = 1 << 20;
const GROWTH = 8;

/** The pickled value, its storages, their keys in the order of the file, and where the first of them begins. */
interface Pickles {
  pickle: Pickle;
  keys: readonly PickleValue[];
  end: number;
}

interface Place {
  offset: number;
  bytes: number;
}

/**
 * The format before PyTorch 1.6: five pickles (a magic number, a version, facts of the system, the value, the keys of
 * the storages) and then each storage, its number of elements first.
 */
export function readLegacy(file: ByteFile): TorchContainer {
  const pickles = readGrowing(file);
  const places = placeStorages(file, pickles);
  const locate = (storage: TorchStorage): number => {
    const place = places.get(storage.key);
    if (place === undefined) throw new FormatError("torch-storage", `the file has no storage "${storage.key}"`);
    if (place.bytes !== storage.bytes) {
      const needed = `where ${storage.bytes} are needed`;
      throw new FormatError("torch-storage", `storage "${storage.key}" has ${place.bytes} bytes, ${needed}`);
    }
    return place.offset;
  };
  return { root: pickles.pickle.value, foreign: pickles.pickle.foreign, locate };
}

function readGrowing(file: ByteFile): Pickles {
  for (let length = FIRST_PART_BYTES; ; length *= GROWTH) {
    try {
      return readPickles(readStart(file, Math.min(length, MAX_PICKLE_BYTES)));
    } catch (error) {
      const isEarly = error instanceof FormatError && error.code === "pickle-truncated";
      if (!isEarly || length >= file.size) throw error;
      if (length < MAX_PICKLE_BYTES) continue;
      throw new FormatError("pickle-limit", `the file's pickle is beyond the limit of ${MAX_PICKLE_BYTES} bytes`);
    }
  }
}

function readPickles(bytes: Buffer): Pickles {
  const magic = readPickle(bytes);
  if (magic.value !== MAGIC) {
    throw new FormatError(
      "torch-not-a-checkpoint",
      "a pickle, but none that torch.save wrote: its magic number is missing",
      "save the model's state_dict() with torch.save",
    );
  }
  const version = readPickle(bytes, magic.end);
  if (version.value !== VERSION) {
    throw new FormatError("torch-not-a-checkpoint", `a PyTorch file of an unknown version, where ${VERSION} is known`);
  }
  const system = readPickle(bytes, version.end);
  if (system.value instanceof Map && system.value.get("little_endian") === false) throw bigEndian();
  const pickle = readPickle(bytes, system.end);
  const keys = readPickle(bytes, pickle.end);
  if (!(keys.value instanceof PickleList))
    throw new FormatError("torch-storage", "the file does not list its storages");
  return { pickle, keys: keys.value.items, end: keys.end };
}

function placeStorages(file: ByteFile, { pickle, keys, end }: Pickles): Map<string, Place> {
  const places = new Map<string, Place>();
  let position = end;
  for (const key of keys) {
    const storage = typeof key === "string" ? pickle.storages.get(key) : undefined;
    if (storage === undefined || places.has(storage.key)) {
      throw new FormatError("torch-storage", "the file lists a storage twice, or one that no tensor has");
    }
    const bytes = Number(file.read(position, COUNT_BYTES).readBigUInt64LE()) * storage.elementBytes;
    const offset = position + COUNT_BYTES;
    position = offset + bytes;
    if (position > file.size) throw truncated(file.size, offset, bytes);
    places.set(storage.key, { offset, bytes });
  }
  return places;
}
