import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { checkTemplate } from "../../src/tokenizer/chat-template.ts";
import { mutated } from "./mutate.ts";

const TEMPLATES = join(import.meta.dir, "..", "..", "src", "tokenizer", "chat-templates");
const corpus = readdirSync(TEMPLATES).map((name) => readFileSync(join(TEMPLATES, name)));
const check = (template: string) => checkTemplate(template, new Map([["bos_token", "<s>"]]));

describe("whatever a chat template holds, it renders, or is refused by name", () => {
  test("Sinter's own render", () => {
    for (const bytes of corpus) expect(check(bytes.toString())).toBeUndefined();
  });

  test.each([
    ["a list without end", "{% for i in range(1000000000000) %}{% endfor %}", /too long a list/],
    ["a step of zero", "{% for i in range(0, 5, 0) %}{% endfor %}", /too long a list/],
    ["loops in loops", `${"{% for i in range(1000) %}".repeat(6)}x${"{% endfor %}".repeat(6)}`, /too many steps/],
    ["empty loops in loops", `${"{% for i in range(1000) %}".repeat(6)}${"{% endfor %}".repeat(6)}`, /too many steps/],
    [
      "a text that doubles",
      "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
      /too long a text/,
    ],
    [
      "a list that doubles",
      "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
      /too long a list/,
    ],
    ["one that runs itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", /./],
    ["one that reaches for JavaScript", "{{ messages.constructor.constructor('return process')() }}", /./],
  ])("%s: refused, in seconds", (_, template, message) => {
    expect(check(template)?.message).toMatch(message);
  });

  test("templates with random changes", () => {
    const property = fc.property(mutated(corpus), (bytes) => {
      check(Buffer.from(bytes).toString());
    });
    fc.assert(property, { numRuns: 1000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false });
  });
});
