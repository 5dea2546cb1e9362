import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { writeYaml, type YamlValue } from "../../src/config/write-yaml.ts";
import { parseYaml } from "../../src/config/yaml.ts";
import type { YamlNode } from "../../src/config/yaml-node.ts";
import { Report } from "../../src/errors.ts";

function read(text: string): unknown {
  const report = new Report();
  const root = parseYaml(text, "f.yml", report);
  expect(report.errors).toEqual([]);
  return root && plain(root);
}

function plain(node: YamlNode): unknown {
  if (node.kind === "scalar") return node.value;
  if (node.kind === "sequence") return node.items.map(plain);
  return Object.fromEntries(node.entries.map(({ key, value }) => [String(key.value), plain(value)]));
}

/** What PyYAML's reader takes: no control characters. */
const words = fc.oneof(
  fc.string(),
  fc.constantFrom("yes", "017", "1e3", "~", "", "- a", "a: b", "#x", "a\nb", "./m@r+l"),
);
const text = words.filter((value) => /^[\x20-\x7e\n]*$/.test(value));
const number = fc.double({ noNaN: true, noDefaultInfinity: true });
const scalar: fc.Arbitrary<YamlValue> = fc.oneof(text, number, fc.boolean(), fc.constant(null));
const key = text.filter((name) => name !== "__proto__" && name !== "<<" && name !== "");

const { value } = fc.letrec<{ value: YamlValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    scalar,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(key, tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
}));

describe("text that is written", () => {
  test("reads as the same value, whatever it holds", () => {
    const mapping = fc.dictionary(key, value, { minKeys: 1, maxKeys: 4, noNullPrototype: true });
    fc.assert(
      fc.property(mapping, (written) => expect(read(writeYaml(written))).toEqual(written)),
      { numRuns: 300 },
    );
  });

  test("has numbers that PyYAML takes for numbers", () => {
    expect(writeYaml({ a: 1e-7, b: 1e21, c: 0.5, d: 3 })).toBe("a: 1.0e-7\nb: 1.0e+21\nc: 0.5\nd: 3\n");
  });

  test("is in blocks, lists of scalars in brackets, nothing for what is undefined", () => {
    const written = writeYaml({ models: [{ model: "./a", parameters: { weight: [0, 1] } }], none: undefined, e: {} });
    expect(written).toBe("models:\n  - model: ./a\n    parameters:\n      weight: [0, 1]\ne: {}\n");
  });
});
