import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { METHODS_DOC, methodsDoc } from "../../scripts/methods-doc.ts";

test("docs/methods.md says what the declarations say; `bun run docs` writes it anew", () => {
  expect(readFileSync(METHODS_DOC, "utf8")).toBe(methodsDoc());
});
