import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CLOSE_BRACKET, JsonError, JsonReader, OPEN_BRACKET } from "../../src/model/json-reader.ts";

/** Whether the whole text is one JSON value, in the reader's opinion. */
function accepts(text: string): boolean {
  try {
    const reader = new JsonReader(text);
    reader.skip();
    reader.end();
    return true;
  } catch (error) {
    if (error instanceof JsonError) return false;
    throw error;
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const CORNERS = [
  ["", "empty text"],
  [" \t\r\n1 ", "blanks around a value"],
  ["01", "a leading zero"],
  ["-0", "minus zero"],
  ["1.", "a fraction without digits"],
  ["1e+5", "an exponent"],
  ["+1", "a plus sign"],
  ["12345678901234567890", "more digits than a double holds"],
  ['"a\\u0041"', "an escape"],
  ['"a\\x41"', "an escape that JSON has not"],
  ['"a\nb"', "a raw line break in a text"],
  ['"\\', "an escape at the very end"],
  ["[1,]", "a trailing comma"],
  ["[1 2]", "a missing comma"],
  ['{"a":1,"a":2}', "a repeated key"],
  ["{]", "brackets that do not match"],
  ["truex", "a word that only begins well"],
  ["\ufeff1", "a byte order mark"],
  ["1 1", "two values"],
] as const;

describe("the JSON reader", () => {
  test.each(CORNERS)("judges %j (%s) as JSON.parse does", (text) => {
    expect(accepts(text)).toBe(parses(text));
  });

  test("accepts what JSON.parse accepts, and nothing else", () => {
    const alphabet = fc.constantFrom(...'{}[]",:\\ \nu0123e.-+truefalsn', "é", "\u0000");
    fc.assert(
      fc.property(fc.json(), fc.nat(), alphabet, fc.nat(2), (json, at, letter, length) => {
        const start = at % (json.length + 1);
        const changed = json.slice(0, start) + letter + json.slice(start + length);
        expect(accepts(json)).toBe(true);
        expect(accepts(changed)).toBe(parses(changed));
      }),
      { numRuns: 2000 },
    );
  });

  test("reads texts and numbers as JSON.parse does", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        (text, number) => {
          expect(new JsonReader(JSON.stringify(text)).string()).toBe(text);
          expect(new JsonReader(JSON.stringify(number)).number()).toBe(JSON.parse(JSON.stringify(number)));
        },
      ),
    );
  });

  test("passes over a value that cannot be read as asked", () => {
    const reader = new JsonReader('[{"a": [1, "]"]}, 7]');
    expect(reader.enter(OPEN_BRACKET, CLOSE_BRACKET)).toBe(true);
    expect(reader.attempt((inner) => inner.number())).toBeUndefined();
    expect(reader.next(CLOSE_BRACKET)).toBe(true);
    expect(reader.attempt((inner) => inner.number())).toBe(7);
    expect(reader.next(CLOSE_BRACKET)).toBe(false);
  });

  test("does not overflow the stack on a value nested a million deep", () => {
    expect(accepts("[".repeat(1_000_000))).toBe(false);
  });
});
