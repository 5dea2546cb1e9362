import { readFileSync } from "node:fs";

/** The C library that releases promise to do with: of 2017. native/portable/old-glibc.cc takes what is newer elsewhere. */
export const GLIBC = "2.26";

/** @throws where the file asks for a newer C library than that. */
export function checkLibc(file: string): void {
  const asked = [...readFileSync(file, "latin1").matchAll(/GLIBC_2\.(\d+)/g)].map((match) => Number(match[1]));
  const newest = Math.max(0, ...asked);
  if (newest > Number(GLIBC.split(".")[1])) {
    throw new Error(
      `${file} needs glibc 2.${newest}, and releases are for ${GLIBC}: native/portable/old-glibc.cc takes functions under their older versions`,
    );
  }
}
