import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { numericText, resolvePlain } from "../../src/config/yaml-scalar.ts";

/** What PyYAML 6.0.3 `safe_load` gave for each plain scalar. */
const NUMBERS: Record<string, number> = {
  "0": 0,
  "-0": 0,
  "+1": 1,
  "00": 0,
  "017": 15,
  "-017": -15,
  "0_7": 7,
  "0b101": 5,
  "-0b11": -3,
  "0x1F": 31,
  "-0xff": -255,
  "1_000": 1000,
  "1__0": 10,
  "1_": 1,
  "1:30": 90,
  "-1:30": -90,
  "1:30:15": 5415,
  "1:30.5": 90.5,
  "01:30.5": 90.5,
  "190:20:30.15": 685230.15,
  "1.5": 1.5,
  "-1.5": -1.5,
  "+1.5": 1.5,
  "1.": 1,
  ".5": 0.5,
  "1.0e-3": 0.001,
  "1.0e+3": 1000,
  "1.e+2": 100,
  ".5e-1": 0.05,
  "1_0.5": 10.5,
  "1.5_0": 1.5,
  "-0.0": -0,
  ".inf": Number.POSITIVE_INFINITY,
  "-.inf": Number.NEGATIVE_INFINITY,
  "+.Inf": Number.POSITIVE_INFINITY,
  ".INF": Number.POSITIVE_INFINITY,
  ".nan": Number.NaN,
  ".NaN": Number.NaN,
  ".NAN": Number.NaN,
};
const TRUE = ["yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"];
const FALSE = ["no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"];
const NULL = ["", "~", "null", "Null", "NULL"];
const TEXT = ["y", "n", "Y", "N", "yEs", "tRUE", "nUll", "1e-3", "1e3", "1.0e3", "12e03", ".e5", "-.5", "+.5", "._5"]
  .concat(["08", "019", "0o17", "0X1F", "_1", "1:60", "01:30", ".", "-.nan", ".iNF", "0.1.2", "1,5", "v1", "bfloat16"])
  .concat(["mlp.down_proj", "inf", "nan", "none", "None", "a 1", "./models/a", "1 2", "-", "+"]);

describe("a plain scalar", () => {
  test.each(Object.entries(NUMBERS))("%s is the number %d", (source, value) => {
    expect(resolvePlain(source)).toBe(value);
  });

  test.each(TRUE)("%s is true", (source) => expect(resolvePlain(source)).toBe(true));
  test.each(FALSE)("%s is false", (source) => expect(resolvePlain(source)).toBe(false));
  test.each(NULL)("%p is nothing", (source) => expect(resolvePlain(source)).toBeNull());
  test.each(TEXT)("%s is text", (source) => expect(resolvePlain(source)).toBe(source));

  test("reads every way of writing a whole number alike", () => {
    fc.assert(
      fc.property(fc.nat(), (n) => {
        const octal = `0${n.toString(8)}`;
        for (const source of [`${n}`, `+${n}`, octal, `0b${n.toString(2)}`, `0x${n.toString(16)}`]) {
          expect(resolvePlain(source)).toBe(n);
        }
        if (n >= 60) expect(resolvePlain(`${Math.floor(n / 60)}:${n % 60}`)).toBe(n);
      }),
    );
  });

  test("that starts with a letter and is no keyword is text", () => {
    const keywords = new Set([...TRUE, ...FALSE, ...NULL]);
    const word = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_./-]{0,8}$/).filter((text) => !keywords.has(text));
    fc.assert(fc.property(word, (text) => expect(resolvePlain(text)).toBe(text)));
  });
});

describe("text in a numeric field", () => {
  test("counts as the number it spells", () => {
    const spelled = {
      "1e-3": 0.001,
      " 0.5 ": 0.5,
      "-.5": -0.5,
      "1.": 1,
      "1_000": 1000,
      "+1E5": 1e5,
      "-Infinity": -Infinity,
    };
    for (const [text, value] of Object.entries(spelled)) expect(numericText(text)).toBe(value);
    expect(numericText("NaN")).toBeNaN();
  });

  test("that spells none counts as none", () => {
    for (const text of ["", " ", ".", "0x10", "1 0", "_1", "1_", "1__0", "false", "e5", "--1", "1e"]) {
      expect(numericText(text)).toBeUndefined();
    }
  });
});
