import { describe, expect, test } from "bun:test";
import { FormatError } from "../../../src/model/format-error.ts";
import { readPickle } from "../../../src/model/torch/pickle-machine.ts";
import { OpaqueValue, type PickleList, TorchStorage, TorchTensor } from "../../../src/model/torch/pickle-values.ts";
import { expectInProportion } from "../../support/growth.ts";
import { dict, op, pickle, tensor, tuple } from "./written.ts";

function value(...parts: Uint8Array[]) {
  return readPickle(pickle(...parts)).value;
}

function errorOf(bytes: Buffer): FormatError {
  try {
    readPickle(bytes);
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
  throw new Error("the pickle was read");
}

const codeOf = (...parts: Uint8Array[]) => errorOf(pickle(...parts)).code;
const raw = (...values: number[]) => Buffer.from(values);

describe("plain values", () => {
  test.each([
    ["None", op.none, null],
    ["True", raw(0x88), true],
    ["an int of 1 byte", raw(0x4b, 255), 255],
    ["an int of 2 bytes", raw(0x4d, 1, 2), 513],
    ["an int of 4 bytes", op.int(-7), -7],
    ["a long of no bytes", raw(0x8a, 0), 0],
    ["a long that a number holds", raw(0x8a, 6, 0, 0, 0, 0, 0, 1), 2 ** 40],
    ["a negative long", raw(0x8a, 2, 0, 0xff), -256],
    ["a long that a number cannot hold", raw(0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1), 2n ** 64n],
    ["a float", raw(0x47, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0), 1.5],
    ["a text", op.text("größe"), "größe"],
    ["a text of Python 2", raw(0x55, 2, 0x61, 0x62), "ab"],
    ["a text with a replacement character", op.text("\ufffd"), "\ufffd"],
    ["a tuple", tuple(op.int(1), op.none), [1, null]],
    ["a tuple of one", Buffer.concat([op.int(1), raw(0x85)]), [1]],
    ["a torch.Size", Buffer.concat([op.global("torch", "Size"), tuple(tuple(op.int(2))), op.reduce]), [2]],
  ])("%s", (_, bytes, expected) => {
    expect(value(bytes) as unknown).toEqual(expected);
  });

  test("a dict, its later items over its earlier ones", () => {
    const items = [op.mark, op.text("a"), op.int(1), op.text("a"), op.int(2), op.setItems];
    expect(value(op.emptyDict, ...items, op.text("b"), op.none, op.setItem)).toEqual(
      new Map<string, number | null>([
        ["a", 2],
        ["b", null],
      ]),
    );
  });

  test("an OrderedDict of Python 2, which is given its items as pairs", () => {
    const pair = Buffer.concat([op.emptyList, op.text("a"), op.append, op.int(1), op.append]);
    const args = tuple(Buffer.concat([op.emptyList, pair, op.append]));
    expect(value(op.global("collections", "OrderedDict"), args, op.reduce)).toEqual(new Map([["a", 1]]));
  });

  test("what the memo keeps, numbered from 0 or from 1 on", () => {
    for (const first of [0, 1]) {
      expect(value(op.text("a"), op.put(first), op.get(first), raw(0x86))).toEqual(["a", "a"]);
    }
  });

  test("a state of an OrderedDict, as modules leave it, is passed over", () => {
    const state = dict({ _metadata: op.emptyDict });
    expect(value(op.emptyDict, state, op.build)).toEqual(new Map());
  });

  test("companions of tensors, such as numbers of NumPy, are kept as nothing but their presence", () => {
    const scalar = [op.global("numpy.core.multiarray", "scalar"), tuple(op.none, op.text("x")), op.reduce];
    expect(value(...scalar)).toBeInstanceOf(OpaqueValue);
  });

  test("a pickle ends where it says, whatever follows", () => {
    const bytes = pickle(op.int(5));
    expect(readPickle(Buffer.concat([bytes, bytes]), bytes.length)).toMatchObject({ value: 5, end: 2 * bytes.length });
  });
});

describe("tensors", () => {
  test("are views of storages", () => {
    const { value: found, storages } = readPickle(pickle(tensor("7", { shape: [2, 3], start: 4, count: 10 })));
    expect(found).toBeInstanceOf(TorchTensor);
    const { storage, ...view } = found as TorchTensor;
    expect(view as object).toEqual({
      element: { name: "float32", bytes: 4, dtype: "F32" },
      start: 4,
      shape: [2, 3],
      strides: [3, 1],
    });
    expect(storage).toEqual(new TorchStorage("7", { name: "float32", bytes: 4, dtype: "F32" }, 10, 0));
    expect([...storages.keys()]).toEqual(["7"]);
  });

  test.each([
    ["a start that is negative", { shape: [1], start: -1 }],
    ["a shape that is negative", { shape: [-1] }],
    ["shape and strides of different lengths", { shape: [2, 3], strides: [1] }],
    ["more dimensions than PyTorch has", { shape: Array(65).fill(1) }],
    ["a storage of a negative size", { shape: [1], count: -1 }],
  ])("with %s are refused", (_, written) => {
    expect(codeOf(tensor("0", written))).toBe("pickle-form");
  });

  test("without a storage are refused", () => {
    const args = tuple(op.none, op.int(0), op.emptyTuple, op.emptyTuple, op.false, op.none);
    expect(codeOf(op.global("torch._utils", "_rebuild_tensor_v2"), args, op.reduce)).toBe("pickle-form");
  });
});

describe("what a state dict does not need", () => {
  test.each([
    ["os", "system"],
    ["posix", "system"],
    ["builtins", "eval"],
    ["__builtin__", "getattr"],
    ["subprocess", "Popen"],
    ["torch", "load"],
    ["torch.storage", "_load_from_bytes"],
    ["torch._utils", "_rebuild_tensor_v2.__globals__"],
    ["collections", "OrderedDict.fromkeys"],
    ["__proto__", "constructor"],
    ["importlib", "import_module"],
    ["torch.hub", "load"],
    ["webbrowser", "open"],
    ["__main__.os", "system"],
    ["pytorch_lightning.callbacks", "Checkpoint.run"],
    ["a module", "name"],
  ])("is refused by its name: %s.%s", (module, name) => {
    const attack = errorOf(pickle(op.global(module, name), tuple(op.text("touch /tmp/x")), op.reduce));
    expect(attack.code).toBe("pickle-global");
    expect(attack.message).toContain(`${module}.${name}`);
  });

  test("is refused also where its name comes from the stack", () => {
    expect(codeOf(op.text("os"), op.text("system"), raw(0x93))).toBe("pickle-global");
  });

  test("cannot put control characters into the message", () => {
    expect(errorOf(pickle(op.global("\u001b[2J", "x"))).message).not.toContain("\u001b");
  });

  test.each([
    [0x69, "INST"],
    [0x6f, "OBJ"],
    [0x82, "EXT1"],
    [0x50, "PERSID"],
    [0x32, "DUP"],
    [0xff, "0xff, which no pickle has"],
  ])("opcode 0x%x is refused by its name", (opcode, name) => {
    const error = errorOf(pickle(op.none, raw(opcode)));
    expect(error.code).toBe("pickle-opcode");
    expect(error.message).toContain(name);
  });
});

describe("objects of training programs", () => {
  const lightning = op.global("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint");

  test.each([
    ["a class", [lightning]],
    ["an object made by a call", [lightning, op.emptyTuple, op.reduce]],
    ["an object made without one", [lightning, op.emptyTuple, raw(0x81)]],
    ["an object made with keywords", [lightning, op.emptyTuple, op.emptyDict, raw(0x92)]],
    ["an object with a state", [lightning, op.emptyTuple, raw(0x81), dict({ best: op.none }), op.build]],
    ["an object with items", [lightning, op.emptyTuple, raw(0x81), op.mark, op.text("a"), op.none, op.setItems]],
    ["an object with entries", [lightning, op.emptyTuple, raw(0x81), op.none, op.append]],
    ["a layer", [op.global("torch.nn.modules.loss", "MSELoss"), op.emptyTuple, raw(0x81)]],
    ["an object of a script", [op.global("__main__", "Settings"), op.emptyTuple, raw(0x81)]],
    [
      "a layer with its source code, as old files have it",
      [
        tuple(op.text("module"), op.global("torch.nn.modules.linear", "Linear"), op.text("linear.py"), op.text("…")),
        op.persistent,
        op.emptyTuple,
        raw(0x81),
      ],
    ],
    [
      "an array of NumPy",
      [op.global("numpy.core.multiarray", "_reconstruct"), op.emptyTuple, op.reduce, op.none, op.build],
    ],
  ])("stand for nothing but their presence, and are named: %s", (_, parts) => {
    const { value: found, foreign } = readPickle(pickle(op.emptyDict, op.text("x"), ...parts, op.setItem));
    expect([...(found as Map<string, unknown>).keys()]).toEqual(["x"]);
    expect(foreign).toHaveLength(1);
  });
});

describe("a pickle that makes no sense is refused", () => {
  test.each([
    ["takes from an empty stack", [raw(0x85)]],
    ["ends without a value", []],
    ["takes more than lies above a mark", [op.none, op.mark, op.text("a"), op.setItem]],
    ["closes a mark that is not there", [op.tuple]],
    ["reads what the memo does not have", [op.get(3)]],
    ["leaves holes in the memo", [op.none, op.put(9)]],
    ["sets half an item", [op.emptyDict, op.mark, op.text("a"), op.setItems]],
    ["sets items of a tuple", [op.emptyTuple, op.text("a"), op.none, op.setItem]],
    ["appends to a tuple", [op.emptyTuple, op.none, op.append]],
    ["calls a text", [op.text("x"), op.emptyTuple, op.reduce]],
    ["calls with a list", [op.global("collections", "OrderedDict"), op.emptyList, op.reduce]],
    ["calls a dtype", [op.global("torch", "float32"), op.emptyTuple, op.reduce]],
    ["makes an object of a text", [op.text("x"), op.emptyTuple, raw(0x81)]],
    ["makes a tensor without a call", [op.global("torch._utils", "_rebuild_tensor_v2"), op.emptyTuple, raw(0x81)]],
    ["makes an object of a dtype", [op.global("torch", "float32"), op.emptyTuple, op.emptyDict, raw(0x92)]],
    ["gives a text a state", [op.text("x"), op.emptyDict, op.build]],
    ["refers to something else than a storage", [tuple(op.text("module"), op.none), op.persistent]],
    [
      "refers to a storage without a type",
      [tuple(op.text("storage"), op.none, op.text("0"), op.text("cpu"), op.int(1)), op.persistent],
    ],
    ["has an integer of 255 bytes", [raw(0x8a, 255), Buffer.alloc(255)]],
    ["has a text that is not UTF-8", [raw(0x55, 1, 0xff)]],
    ["has a name without an end", [Buffer.from(`c${"x".repeat(2000)}`)]],
  ])("where it %s", (_, parts) => {
    expect(codeOf(...parts)).toBe("pickle-form");
  });

  test.each([[0], [1], [6], [255]])("where its protocol is %d", (protocol) => {
    expect(errorOf(raw(0x80, protocol, 0x2e)).code).toBe("pickle-form");
  });

  test("where it is cut anywhere", () => {
    const bytes = pickle(dict({ "a.weight": tensor("0", { shape: [2, 3] }), b: tensor("1", { shape: [] }) }));
    for (let length = 0; length < bytes.length; length++) {
      expect(errorOf(bytes.subarray(0, length)).code).toBe("pickle-truncated");
    }
  });

  test("where a text announces more bytes than there are, before any is made", () => {
    expect(codeOf(raw(0x58, 0xff, 0xff, 0xff, 0xff))).toBe("pickle-truncated");
  });
});

describe("the cost of a pickle is bounded", () => {
  test.each([
    ["dicts", 0x7d],
    ["lists", 0x5d],
    ["marks", 0x28],
  ])("in %s", (_, opcode) => {
    expect(errorOf(Buffer.concat([op.start, Buffer.alloc(5_000_000, opcode), op.stop])).code).toBe("pickle-limit");
  });

  test("a list may hold itself", () => {
    const list = value(op.emptyList, op.put(0), op.get(0), op.append) as PickleList;
    expect(list.items[0]).toBe(list);
  });

  test("100,000 tensors take time in proportion", () => {
    expectInProportion(100_000, (length) => {
      const names = Array.from({ length }, (_, i) => `model.layers.${i}.mlp.experts.gate_proj.weight`);
      const root = tensor("0", { shape: [2, 3] });
      const bytes = pickle(op.emptyDict, op.mark, ...names.flatMap((name) => [op.text(name), root]), op.setItems);
      return () => expect((readPickle(bytes).value as Map<string, unknown>).size).toBe(length);
    });
  });
});
