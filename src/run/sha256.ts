import { SinterError } from "../errors.ts";
import type { Addon } from "../native.ts";
import { nativeProblem } from "./native-error.ts";

/**
 * SHA-256 of whole files in hexadecimal, by path; as many at once as there are CPUs.
 * @param signal stops it; its reason, a SinterError, is then thrown.
 * @throws SinterError for a file that cannot be read.
 */
export async function sha256OfFiles(
  paths: readonly string[],
  addon: Pick<Addon, "sha256" | "cancel">,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const stop = () => addon.cancel();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const hashed = await Promise.all(paths.map(async (path) => [path, await hashOf(path, addon, signal)] as const));
    return new Map(hashed);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function hashOf(path: string, addon: Pick<Addon, "sha256">, signal: AbortSignal): Promise<string> {
  try {
    return await addon.sha256(path);
  } catch (error) {
    signal.throwIfAborted();
    throw new SinterError(nativeProblem(error, { path }));
  }
}
