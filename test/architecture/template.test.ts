import { describe, expect, test } from "bun:test";
import { matchesGlob } from "../../src/architecture/glob.ts";
import { expandBraces, fillNumber, layerNames, numberNames, templateKey } from "../../src/architecture/template.ts";

describe("brace lists", () => {
  test("stand for each of their parts in turn, the last one fastest", () => {
    expect(expandBraces("{q,k}.{weight,bias}")).toEqual(["q.weight", "q.bias", "k.weight", "k.bias"]);
    expect(expandBraces("norm{,_2}")).toEqual(["norm", "norm_2"]);
    expect(expandBraces("plain.${layer}")).toEqual(["plain.${layer}"]);
  });

  test("that multiply beyond reason are refused, in no time", () => {
    expect(() => expandBraces("{a,b}".repeat(200))).toThrow("stands for more than 1000 names");
    expect(expandBraces("{a,b}".repeat(9))).toHaveLength(512);
  });
});

describe("numbers in a name", () => {
  test("are filled in wherever they stand, with their offset", () => {
    expect(fillNumber("a.${layer}.b.${layer+1}.${layers-1}", "layer", 3)).toBe("a.3.b.4.${layers-1}");
    expect(fillNumber("${layers-1}", "layers", 8)).toBe("7");
  });

  test("are known by their names", () => {
    expect([...numberNames("${prefix}${layer}.x.${expert}.${expert+1}")]).toEqual(["layer", "expert"]);
  });

  test("make a name for each layer", () => {
    expect([0, 12].map(layerNames("a.${layer}.b"))).toEqual(["a.0.b", "a.12.b"]);
    expect([0, 1].map(layerNames("a.${layer+1}.b.${layer}"))).toEqual(["a.1.b.0", "a.2.b.1"]);
    expect([0, 1].map(layerNames("a.b"))).toEqual(["a.b", "a.b"]);
  });
});

test("a key is what follows the number of the layer, else the name without its prefix", () => {
  expect(templateKey("${prefix}layers.${layer}.attn.q.weight")).toBe("attn.q.weight");
  expect(templateKey("block.${layer}.layer.0.q")).toBe("layer.0.q");
  expect(templateKey("${prefix}norm.weight")).toBe("norm.weight");
});

describe("a pattern", () => {
  test.each([
    ["*.inv_freq", "a.b.inv_freq", true],
    ["*.inv_freq", "inv_freq", false],
    ["*.inv_freq", "a.inv_freq.b", false],
    ["*attn.bias", "h.0.attn.bias", true],
    ["vision.*", "vision.", true],
    ["a*b*c", "a-b-b-c", true],
    ["a*b*c", "acb", false],
    ["a*b*b", "ab", false],
    ["ab*ab", "ab", false],
    ["plain", "plain", true],
    ["plain", "plainer", false],
    ["*", "", true],
  ])("%p against %p: %p", (pattern, text, matches) => {
    expect(matchesGlob(pattern, text)).toBe(matches);
  });

  test("of many stars takes no time to fail", () => {
    expect(matchesGlob("*a".repeat(5000), "a".repeat(4999))).toBe(false);
  });
});
