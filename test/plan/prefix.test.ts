import { describe, expect, test } from "bun:test";
import { matchNames, sharedPrefix } from "../../src/plan/prefix.ts";

const always = () => true;

describe("names of a part in a whole", () => {
  test("most commonly have one text before them", () => {
    const whole = ["vision.a.weight", "language_model.model.a.weight", "language_model.model.b.weight"];
    expect(sharedPrefix(whole, ["model.a.weight", "model.b.weight"])).toEqual({
      before: "language_model.",
      matches: 2,
    });
    expect([...matchNames(whole, ["model.a.weight", "model.b.weight"], always)]).toEqual([
      ["language_model.model.a.weight", "model.a.weight"],
      ["language_model.model.b.weight", "model.b.weight"],
    ]);
  });

  test("may be the same", () => {
    expect([...matchNames(["a", "b", "c"], ["a", "b"], always)]).toEqual([
      ["a", "a"],
      ["b", "b"],
    ]);
  });

  test("may begin with a word that the whole puts elsewhere, and have a head that it keeps", () => {
    const whole = [
      "model.visual.a.weight",
      "model.language_model.layers.0.q.weight",
      "model.language_model.norm.weight",
      "lm_head.weight",
    ];
    const part = ["model.layers.0.q.weight", "model.norm.weight", "lm_head.weight"];
    expect(Object.fromEntries(matchNames(whole, part, always))).toEqual({
      "model.language_model.layers.0.q.weight": "model.layers.0.q.weight",
      "model.language_model.norm.weight": "model.norm.weight",
      "lm_head.weight": "lm_head.weight",
    });
  });

  test("that only chance suggests count where they fit", () => {
    const whole = ["lm.layers.0.q", "lm.layers.1.q", "vision.head"];
    const part = ["layers.0.q", "layers.1.q", "head"];
    expect(matchNames(whole, part, () => false).has("vision.head")).toBe(false);
    expect(matchNames(whole, part, always).get("vision.head")).toBe("head");
  });

  test("that have nothing in common match nothing", () => {
    expect(matchNames(["a.b"], ["c.d"], always).size).toBe(0);
  });
});
