import { afterAll, beforeAll, expect } from "bun:test";
import { rmSync } from "node:fs";
import { inputs, type Merge, writeMerges } from "./merges.ts";

/** Models and merges for the tests of a file, made before them; after them the models must be as they were made. */
export function untouchedMerges(root: string): () => readonly Merge[] {
  let merges: readonly Merge[] = [];
  let before: string[] = [];
  beforeAll(() => {
    merges = writeMerges(root);
    before = inputs(root);
  });
  afterAll(() => {
    const after = inputs(root);
    rmSync(root, { recursive: true });
    expect(after).toEqual(before);
  });
  return () => merges;
}
