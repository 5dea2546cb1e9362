import { readFileSync } from "node:fs";

/** The C library that releases promise to do with: of 2022, as Ubuntu 22.04 and Debian 12 have it or newer. */
export const GLIBC = "2.35";

/** @throws where the file asks for a newer C library than that. */
export function checkLibc(file: string): void {
  const asked = [...readFileSync(file, "latin1").matchAll(/GLIBC_(\d+)\.(\d+)/g)].map((match) => Number(match[2]));
  const newest = Math.max(0, ...asked);
  if (newest > Number(GLIBC.split(".")[1])) {
    throw new Error(`${file} needs glibc 2.${newest}, and releases are for ${GLIBC}: build on an older system`);
  }
}
