import { describe, expect, test } from "bun:test";
import { findFault, pathText, type Schema } from "../../src/architecture/validate.ts";

const schema: Schema = {
  type: "object",
  required: ["name"],
  additionalProperties: false,
  properties: {
    name: { type: "string", minLength: 1 },
    size: { type: "integer", minimum: 0 },
    kind: { enum: ["a", "b"] },
    list: { type: "array", minItems: 1, items: { $ref: "#/$defs/item" } },
    map: { type: "object", minProperties: 1, additionalProperties: { type: "boolean" } },
  },
  $defs: {
    item: { anyOf: [{ type: "string" }, { type: "object", required: ["x"], properties: { x: { type: "null" } } }] },
  },
};

const fault = (value: unknown) => {
  const found = findFault(value, schema);
  return found && `${pathText(found.path)} ${found.message}`.trim();
};

describe("a value that fits its schema", () => {
  test("has no fault", () => {
    expect(
      fault({ name: "x", size: 0, kind: "b", list: ["y", { x: null, more: 1 }], map: { a: true } }),
    ).toBeUndefined();
  });
});

describe("a value that does not", () => {
  test.each([
    [[], "must be an object"],
    [{}, "has no name"],
    [{ name: "" }, "name must not be empty"],
    [{ name: "x", size: 1.5 }, "size must be a whole number"],
    [{ name: "x", size: -1 }, "size must be 0 or more"],
    [{ name: "x", kind: "c" }, 'kind must be one of "a", "b"'],
    [{ name: "x", list: [] }, "list must not be empty"],
    [{ name: "x", list: ["y", 1] }, "list[1] must be a text, or must be an object"],
    [{ name: "x", list: [{ x: 1 }] }, "list[0].x must be null"],
    [{ name: "x", map: {} }, "map must not be empty"],
    [{ name: "x", map: { a: 1 } }, "map.a must be true or false"],
    [{ name: "x", nmae: "y" }, "nmae is no key of the format"],
  ])("%j: %s", (value, message) => {
    expect(fault(value)).toBe(message);
  });

  test("that is nested without end is refused at a depth", () => {
    const nested: Schema = { type: "array", items: { $ref: "#/$defs/self" }, $defs: {} };
    const self: Schema = { ...nested, $defs: { self: nested } };
    let value: unknown = [];
    for (let i = 0; i < 1000; i++) value = [value];
    expect(findFault(value, self)?.message).toBe("is nested too deeply");
  });
});
