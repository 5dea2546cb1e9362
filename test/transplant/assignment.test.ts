import { describe, expect, test } from "bun:test";
import { type Assignment, type AssignmentRules, assign } from "../../src/transplant/assignment.ts";
import { readVocabulary } from "../../src/transplant/vocabulary.ts";
import { tokenizerOf } from "./tokenizers.ts";

const original = tokenizerOf(["a", "b", "▁the", "<0x0A>", "▁h", "z"]);
const donor = tokenizerOf(["b", "Ġthe", "Ċ", "Ġhello", "Ġx", "ab"], { byteLevel: true });

function assigned(rules: Partial<AssignmentRules> = {}): Assignment {
  return assign(readVocabulary(original), readVocabulary(donor), {
    originalRows: 6,
    donorRows: 6,
    prefix: false,
    byte: false,
    needsDonorRow: true,
    ...rules,
  });
}

/** Which row of the original goes to which of the output. */
const copies = ({ copied }: Assignment) => [...copied.to].map((to, i) => [copied.from[i], to]);

test("tokens that both have are copied, and approximations go by them", () => {
  const found = assigned();
  expect(copies(found)).toEqual([
    [1, 0],
    [2, 1],
  ]);
  expect([...found.shared.original]).toEqual([1, 2]);
  expect([...found.shared.donor]).toEqual([0, 1]);
  expect([...found.targets]).toEqual([2, 3, 4, 5]);
  expect(found.counts).toEqual({ exact: 2, byte: 0, prefix: 0, approximated: 4, zero: 0 });
});

test("a byte is found in its other form, where asked for", () => {
  const found = assigned({ byte: true });
  expect(copies(found)).toContainEqual([3, 2]);
  expect(found.counts).toMatchObject({ byte: 1, approximated: 3 });
  // It is no token that both have.
  expect(found.shared.donor).toHaveLength(2);
});

test("a token takes its longest prefix, where asked for; blanks are none", () => {
  const found = assigned({ prefix: true });
  expect(copies(found)).toContainEqual([4, 3]);
  expect(copies(found)).toContainEqual([0, 5]);
  expect([...found.targets]).toEqual([2, 4]);
});

test("special tokens have no prefix", () => {
  const special = tokenizerOf([], { byteLevel: true, added: [{ content: "ab" }] });
  const rules = { originalRows: 6, donorRows: 1, prefix: true, byte: false, needsDonorRow: true };
  const found = assign(readVocabulary(original), readVocabulary(special), rules);
  expect([...found.targets]).toEqual([0]);
});

test("tokens beyond the rows of the matrices have none", () => {
  expect(assigned({ originalRows: 2 }).counts).toMatchObject({ exact: 1, approximated: 5 });
  const short = assigned({ donorRows: 5 });
  expect(short.counts).toMatchObject({ approximated: 3, zero: 1 });
  expect([...short.targets]).not.toContain(5);
  expect(assigned({ donorRows: 5, needsDonorRow: false }).targets).toContain(5);
  // A token that the original has needs no row of the donor.
  expect(assigned({ donorRows: 1 }).counts.exact).toBe(2);
  expect(assigned({ donorRows: 1 }).shared.donor).toHaveLength(1);
});

describe("tokens that look untrained", () => {
  const rows = (...untrained: number[]) => Uint8Array.from({ length: 6 }, (_, i) => (untrained.includes(i) ? 0 : 1));

  test("are no source, in either model", () => {
    const inOriginal = assigned({ trained: { original: rows(2), donor: rows() } });
    expect(copies(inOriginal)).toEqual([[1, 0]]);
    expect([...inOriginal.targets]).toContain(1);
    const inDonor = assigned({ trained: { original: rows(), donor: rows(1) } });
    expect(copies(inDonor)).toEqual([[1, 0]]);
    expect([...inDonor.shared.donor]).toEqual([0]);
  });

  test("become zeros where neither model has trained them", () => {
    const found = assigned({ trained: { original: rows(2), donor: rows(1, 5) } });
    expect(found.counts.zero).toBe(2);
    expect([...found.targets]).toEqual([2, 3, 4]);
  });
});
