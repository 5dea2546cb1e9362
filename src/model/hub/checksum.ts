import { hasher } from "../../hash.ts";

/** A hash that is fed a file's bytes in order. */
export interface Checksum {
  update(bytes: Uint8Array): void;
  /** In hexadecimal. */
  digest(): string;
}

/** Whether a text can be the name of a blob: a SHA-256 (large files) or the SHA-1 that git gives a file. */
export function isEtag(text: unknown): text is string {
  return typeof text === "string" && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

/**
 * The hash that a file's etag was made with. Git hashes `blob`, the size and a zero byte before the content.
 * @param size bytes of the whole file.
 */
export function checksumFor(etag: string, size: number): Checksum {
  const isGit = etag.length === 40;
  const hash = hasher(isGit ? "sha1" : "sha256");
  if (isGit) hash.update(`blob ${size}\0`);
  return {
    update: (bytes) => void hash.update(bytes),
    digest: () => hash.digest("hex"),
  };
}
