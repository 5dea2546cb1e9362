import { describe, expect, test } from "bun:test";
import { FormatError } from "../../../src/model/format-error.ts";
import { readPickle } from "../../../src/model/torch/pickle-machine.ts";
import { findStateDict } from "../../../src/model/torch/state-dict.ts";
import { dict, op, pickle, tensor, tuple } from "./written.ts";

const t = tensor("0", { shape: [1] });

function find(root: Uint8Array) {
  const { tensors, unwrapped, leftOut } = findStateDict(readPickle(pickle(root)).value);
  return { names: [...tensors.keys()], unwrapped: unwrapped.join("."), leftOut };
}

function codeOf(root: Uint8Array): string {
  try {
    find(root);
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
  return "none";
}

function list(...items: Uint8Array[]): Buffer {
  return Buffer.concat([op.emptyList, ...items.flatMap((item) => [item, op.append])]);
}

describe("the state dict of a checkpoint", () => {
  test("is the file's own dict, whatever else lies in it", () => {
    expect(find(dict({ a: t, epoch: op.int(3), names: list(op.text("x")), b: t }))).toEqual({
      names: ["a", "b"],
      unwrapped: "",
      leftOut: 0,
    });
  });

  test.each(["state_dict", "model_state_dict", "model", "module"])("lies under %s", (key) => {
    const optimizer = dict({ state: dict({ x: t, y: list(t) }) });
    expect(find(dict({ optimizer, [key]: dict({ "a.b": t }) }))).toEqual({
      names: ["a.b"],
      unwrapped: key,
      leftOut: 2,
    });
  });

  test("lies under several of these keys", () => {
    expect(find(dict({ module: dict({ model: dict({ a: t }) }) })).unwrapped).toBe("module.model");
  });

  test("does not lie under a key without tensors", () => {
    expect(find(dict({ model: dict({ size: op.int(1) }), state_dict: dict({ a: t }) })).names).toEqual(["a"]);
    expect(find(dict({ model: dict({ size: op.int(1) }), unet: dict({ a: t }) })).names).toEqual(["unet.a"]);
  });

  test("keeps a tensor's own name where it is one of these keys", () => {
    expect(find(dict({ model: t, module: dict({ a: t }) })).names).toEqual(["model", "module.a"]);
  });

  test("may have objects of any training program beside it", () => {
    const callback = op.global("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint");
    const callbacks = Buffer.concat([op.emptyDict, callback, dict({ best: op.none }), op.setItem]);
    const settings = Buffer.concat([op.global("argparse", "Namespace"), op.emptyTuple, op.reduce]);
    expect(find(dict({ callbacks, settings, state_dict: dict({ a: t }) }))).toMatchObject({
      names: ["a"],
      unwrapped: "state_dict",
    });
  });

  test("has the names of nested dicts and lists joined by dots", () => {
    expect(find(dict({ unet: dict({ in: t, out: list(t, op.none, t) }), pair: tuple(t) })).names).toEqual([
      "unet.in",
      "unet.out.0",
      "unet.out.2",
      "pair.0",
    ]);
  });

  test("may have the same settings in several places", () => {
    const betas = Buffer.concat([tuple(op.int(1)), op.put(0)]);
    expect(find(dict({ x: list(betas), y: list(op.get(0)), a: t })).names).toEqual(["a"]);
  });
});

describe("a checkpoint is refused", () => {
  test.each([
    ["that is a list", list(t), "torch-no-state-dict"],
    ["without tensors", dict({ a: op.int(1) }), "torch-no-tensors"],
    ["where two tensors would have one name", dict({ "a.b": t, a: dict({ b: t }) }), "torch-name"],
    ["where a tensor's name is a tuple", Buffer.concat([op.emptyDict, tuple(op.none), t, op.setItem]), "torch-name"],
    ["where a tensor's name is endless", dict({ ["x".repeat(5000)]: t }), "torch-name"],
    [
      "where a dict of tensors stands twice",
      dict({ a: Buffer.concat([dict({ b: t }), op.put(0)]), c: op.get(0) }),
      "torch-nesting",
    ],
    [
      "that holds itself",
      Buffer.concat([op.emptyDict, op.put(0), op.text("a"), op.get(0), op.setItem, op.text("b"), t, op.setItem]),
      "torch-nesting",
    ],
  ])("%s", (_, root, code) => {
    expect(codeOf(root)).toBe(code);
  });

  const callback = op.global("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint");
  const object = Buffer.concat([callback, op.emptyTuple, op.reduce]);

  test.each([
    ["is one of its values", dict({ a: t, b: object })],
    ["lies deeper in it", dict({ a: t, b: list(tuple(object)) })],
    ["is a key of it", Buffer.concat([dict({ a: t }), callback, op.none, op.setItem])],
    ["is the state dict", dict({ epoch: op.none, state_dict: object })],
    ["is all there is", object],
  ])("where an object of a class that could hold weights %s", (_, root) => {
    expect(codeOf(root)).toBe("pickle-global");
  });

  test("whose dicts are nested without end", () => {
    let nested = dict({ a: t });
    for (let depth = 0; depth < 200; depth++) nested = dict({ x: nested });
    expect(codeOf(nested)).toBe("torch-nesting");
  });

  test("that multiplies its tensors by sharing dicts, in no time", () => {
    const levels = Array.from({ length: 40 }, (_, i) =>
      Buffer.concat([
        op.emptyDict,
        op.text("l"),
        op.get(i),
        op.setItem,
        op.text("r"),
        op.get(i),
        op.setItem,
        op.put(i + 1),
      ]),
    );
    const root = Buffer.concat([dict({ a: t }), op.put(0), ...levels]);
    expect(codeOf(root)).toBe("torch-nesting");
  });
});
