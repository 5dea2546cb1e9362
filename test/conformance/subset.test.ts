import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Kit } from "./kit.ts";
import { runCaseHere } from "./run-here.ts";

/** The part of the conformance kit that lives here: what mergekit made of the same inputs. `make-subset.ts` chose it. */
const kit = new Kit(join(import.meta.dir, "subset"));
const before = process.cwd();

// Configurations name models relative to the kit.
beforeAll(() => process.chdir(kit.folder));
afterAll(() => process.chdir(before));

describe("as mergekit, or better", () => {
  test.each(kit.cases.map((conformanceCase) => [conformanceCase.name, conformanceCase] as const))(
    "%s",
    async (_, conformanceCase) => {
      const verdict = await runCaseHere(kit, conformanceCase);
      expect(verdict).toMatchObject({ outcome: "pass", faults: [] });
    },
  );
});
