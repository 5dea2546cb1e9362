import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseYaml } from "../../src/config/yaml.ts";
import type { YamlMapping, YamlNode } from "../../src/config/yaml-node.ts";
import { Report } from "../../src/errors.ts";

function parse(text: string): { root: YamlMapping | undefined; report: Report } {
  const report = new Report();
  return { root: parseYaml(text, "f.yml", report), report };
}

/** A node as a JavaScript value; mappings as objects. */
function plain(node: YamlNode): unknown {
  if (node.kind === "scalar") return node.value;
  if (node.kind === "sequence") return node.items.map(plain);
  return Object.fromEntries(node.entries.map(({ key, value }) => [String(key.value), plain(value)]));
}

function read(text: string): unknown {
  const { root, report } = parse(text);
  expect(report.errors).toEqual([]);
  return root && plain(root);
}

/** Of the only error: `line:column code`. */
function errorPlace(text: string): string {
  const { root, report } = parse(text);
  expect(root).toBeUndefined();
  expect(report.errors).toHaveLength(1);
  const [problem] = report.errors;
  expect(problem?.at?.file).toBe("f.yml");
  return `${problem?.at?.line}:${problem?.at?.column} ${problem?.code}`;
}

describe("a document", () => {
  test("keeps the place of every key and value", () => {
    const { root } = parse("# note\nmodels:\n  - model: a\n    weight: [1, 0.5]\n");
    const models = root?.entries[0];
    expect(models?.key.at).toEqual({ file: "f.yml", line: 2, column: 1 });
    const entry = models?.value.kind === "sequence" ? models.value.items[0] : undefined;
    expect(entry?.at).toEqual({ file: "f.yml", line: 3, column: 5 });
    const weight = entry?.kind === "mapping" ? entry.entries[1] : undefined;
    expect(weight?.key.at).toMatchObject({ line: 4, column: 5 });
    const second = weight?.value.kind === "sequence" ? weight.value.items[1] : undefined;
    expect(second?.at).toMatchObject({ line: 4, column: 17 });
  });

  test("resolves plain scalars as YAML 1.1 and leaves quoted ones as text", () => {
    expect(read("a: yes\nb: 'yes'\nc: 017\nd: \"017\"\ne: |\n  017\nf: 1e-3\n")).toEqual({
      a: true,
      b: "yes",
      c: 15,
      d: "017",
      e: "017\n",
      f: "1e-3",
    });
  });

  test("reads double-quoted text back whatever it holds", () => {
    const text = fc.string({ unit: "grapheme" }).map((value) => value.replace(/[^\n\t\x20-\x7E\xA0-\uD7FF]/g, ""));
    fc.assert(fc.property(text, (value) => expect(read(`a: ${JSON.stringify(value)}\n`)).toEqual({ a: value })));
  });

  test("obeys the tags of the core types", () => {
    expect(read("a: !!str 017\nb: !!int '3'\nc: !!float '1e-3'\nd: !!bool 'no'\n")).toEqual({
      a: "017",
      b: 3,
      c: 0.001,
      d: false,
    });
  });

  test("ends a block scalar without a newline where the file does", () => {
    expect(read("a: |\n  x\n  y")).toEqual({ a: "x\ny" });
    expect(read("a: |\n  x\n  y\n")).toEqual({ a: "x\ny\n" });
    expect(read("a: |\n  x\nb: 1")).toEqual({ a: "x\n", b: 1 });
  });

  test("breaks lines at CRLF and at a lone CR", () => {
    expect(read("a: 1\r\nb: 2\rc: 3\n")).toEqual({ a: 1, b: 2, c: 3 });
  });

  test("may carry a byte order mark and the marks of one document", () => {
    expect(read("\uFEFF%YAML 1.1\n---\na: 1\n...\n")).toEqual({ a: 1 });
  });
});

describe("a repeated key", () => {
  test("warns where it stands, and the last one counts", () => {
    const { root, report } = parse("a: 1\nb: 2\na: 3\n");
    expect(root && plain(root)).toEqual({ a: 3, b: 2 });
    expect(report.warnings).toHaveLength(1);
    expect(report.warnings[0]).toMatchObject({ code: "duplicate-key", at: { line: 3, column: 1 } });
    expect(report.warnings[0]?.hint).toContain("line 1");
  });

  test("in quotes is another key than a number", () => {
    expect(parse("1: a\n'1': b\n").report.warnings).toEqual([]);
  });
});

describe("anchors, aliases and merge keys", () => {
  test("an alias stands for the value of the anchor before it", () => {
    expect(read("a: &x [1, 2]\nb: *x\n")).toEqual({ a: [1, 2], b: [1, 2] });
  });

  test("own keys win over merged ones, earlier mappings over later ones", () => {
    const text = "a: &a {p: 1, q: 1}\nb: &b {q: 2, r: 2}\nc:\n  r: 3\n  <<: [*a, *b]\n  s: 4\n";
    expect(read(text)).toMatchObject({ c: { p: 1, q: 1, r: 3, s: 4 } });
    expect(parse(text).report.warnings).toEqual([]);
  });

  test("a quoted << is a key like any other", () => {
    expect(read("'<<': {a: 1}\n")).toEqual({ "<<": { a: 1 } });
  });

  test("<< takes nothing but mappings", () => {
    expect(errorPlace("a:\n  <<: 3\n")).toBe("2:7 yaml-merge");
  });

  test("an alias without an anchor, or within its own anchor, is an error", () => {
    expect(errorPlace("a: *x\n")).toBe("1:4 yaml-alias");
    expect(errorPlace("a: &x [1, *x]\n")).toBe("1:11 yaml-alias");
  });

  test("aliases that multiply are an error, not a hang", () => {
    const levels = "abcdefghijklmno".split("");
    const lines = levels.map((name, i) => {
      const below = levels[i - 1];
      return `${name}: &${name} [${Array(9).fill(below === undefined ? "x" : `*${below}`)}]`;
    });
    const merges = levels.map((name, i) => {
      const below = levels[i - 1];
      return `${name}: &${name} {${below === undefined ? "x: 1" : `<<: [${Array(9).fill(`*${below}`)}]`}}`;
    });
    expect(errorPlace(lines.join("\n"))).toMatch(/yaml-alias$/);
    expect(errorPlace(merges.join("\n"))).toMatch(/yaml-alias$/);
  });
});

describe("a text that is no recipe", () => {
  test.each([
    ["a tab as indentation", "a:\n\tb: 1\n", "2:1 yaml-syntax"],
    ["a bad indentation", "a: 1\n  b: 2\n", "1:4 yaml-syntax"],
    ["a bracket that is not closed", "a: [1, 2\nb: 3\n", "2:1 yaml-syntax"],
    ["a quote that is not closed", 'a: "x\nb: 3\n', "3:1 yaml-syntax"],
    ["a control character", "a: x\0y\n", "1:5 yaml-syntax"],
    ["a second document", "a: 1\n---\nb: 2\n", "2:1 yaml-documents"],
    ["an unknown tag", "a: !!python/name:os.system x\n", "1:28 yaml-tag"],
    ["a tag that does not fit", "a: !!int x\n", "1:10 yaml-tag"],
    ["a list as a key", "[a, b]: c\n", "1:1 yaml-key"],
    ["a value after a value", "a: [b]: c\n", "1:7 yaml-key"],
    ["a list", "- a\n", "1:1 yaml-type"],
    ["text", "just text\n", "1:1 yaml-type"],
    ["nothing", "# only a comment\n", "1:1 yaml-type"],
  ])("%s is an error with its place", (_name, text, place) => {
    expect(errorPlace(text)).toBe(place);
  });

  test("nested beyond reason is an error, not a crash", () => {
    expect(errorPlace(`a: ${"[".repeat(50_000)}`)).toMatch(/yaml-syntax$/);
  });
});
