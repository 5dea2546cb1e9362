/** Hashes, in Bun and in Node: each has its own, and Bun's modules with Node's names take milliseconds to load. */

export interface Hasher {
  update(bytes: Uint8Array | Int32Array | Float64Array | string): unknown;
  digest(): Uint8Array;
  digest(encoding: "hex"): string;
}

export function hasher(algorithm: "sha1" | "sha256"): Hasher {
  if (typeof Bun !== "undefined") return new Bun.CryptoHasher(algorithm);
  return process.getBuiltinModule("node:crypto").createHash(algorithm);
}

/** 16 hexadecimal digits of the SHA-256: enough against accidents. */
export function shortHash(bytes: Uint8Array | string): string {
  const sha256 = hasher("sha256");
  sha256.update(bytes);
  return sha256.digest("hex").slice(0, 16);
}

/** The CRC-32 that zip files have. */
export function crc32(bytes: Uint8Array | string): number {
  return typeof Bun !== "undefined" ? Bun.hash.crc32(bytes) : process.getBuiltinModule("node:zlib").crc32(bytes);
}
