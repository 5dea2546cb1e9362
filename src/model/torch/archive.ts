import type { ByteFile } from "../byte-file.ts";
import { FormatError } from "../format-error.ts";
import { MAX_PICKLE_BYTES, type TorchContainer } from "./container.ts";
import { readPickle } from "./pickle-machine.ts";
import type { TorchStorage } from "./pickle-values.ts";
import { dataOffset, readZipDirectory, type ZipEntry } from "./zip-directory.ts";

const PICKLE = "data.pkl";

/**
 * The format of PyTorch 1.6 and later: a zip archive of one folder with `data.pkl` and, uncompressed, `data/<key>` for
 * every storage. Source: PyTorch's `torch/serialization.py` and `caffe2/serialize/inline_container.h`.
 */
export function readArchive(file: ByteFile): TorchContainer {
  const entries = readZipDirectory(file);
  const folder = findFolder(entries);
  refuseForeign(file, entries, folder);
  const pickle = entries.get(folder + PICKLE) as ZipEntry;
  if (pickle.size > MAX_PICKLE_BYTES) {
    throw new FormatError(
      "pickle-limit",
      `${pickle.name} takes ${pickle.size} bytes, beyond the limit of ${MAX_PICKLE_BYTES}`,
    );
  }
  const { value, foreign } = readPickle(file.read(dataOffset(file, pickle), pickle.size));
  const located = new Map<string, number>();
  const locate = (storage: TorchStorage): number => {
    const name = `${folder}data/${storage.key}`;
    const entry = entries.get(name);
    if (entry === undefined) throw new FormatError("torch-storage", `the archive has no "${name}"`);
    if (storage.bytes > entry.size) {
      throw new FormatError("torch-storage", `"${name}" has ${entry.size} bytes, where ${storage.bytes} are needed`);
    }
    const known = located.get(name);
    if (known !== undefined) return known;
    const offset = dataOffset(file, entry);
    located.set(name, offset);
    return offset;
  };
  return { root: value, foreign, locate };
}

/** The folder that everything lies in, with its slash. Its name is that of the file when it was saved. */
function findFolder(entries: ReadonlyMap<string, ZipEntry>): string {
  const folders = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [only] = folders;
  if (only === undefined || folders.length > 1) {
    throw new FormatError(
      "torch-not-a-checkpoint",
      only === undefined
        ? `a zip archive, but none that torch.save wrote: there is no ${PICKLE} in it`
        : `a zip archive with ${folders.length} checkpoints: ${folders.slice(0, 5).join(", ")}`,
    );
  }
  return only.slice(0, -PICKLE.length);
}

function refuseForeign(file: ByteFile, entries: ReadonlyMap<string, ZipEntry>, folder: string): void {
  if (entries.has(`${folder}constants.pkl`)) {
    throw new FormatError(
      "torch-script",
      "the file is a TorchScript program, not a state dict",
      "save the model's state_dict() with torch.save, or use its safetensors weights",
    );
  }
  const order = entries.get(`${folder}byteorder`);
  const isBig = order?.size === 3 && file.read(dataOffset(file, order), 3).toString("latin1") === "big";
  if (isBig) throw bigEndian();
}

/** Every machine that Sinter runs on is little-endian, and bytes are used where they lie. */
export function bigEndian(): FormatError {
  return new FormatError(
    "torch-big-endian",
    "the tensors were written by a big-endian machine",
    "load the file with PyTorch on any common machine, and save its state_dict() again",
  );
}
