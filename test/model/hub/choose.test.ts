import { describe, expect, test } from "bun:test";
import { chooseFiles } from "../../../src/model/hub/choose.ts";

const INDEX = "model.safetensors.index.json";
const BIN_INDEX = "pytorch_model.bin.index.json";

function weights(...names: string[]): readonly string[] {
  return chooseFiles(names, undefined).weights;
}

describe("the weights", () => {
  test.each([
    ["safetensors go before .bin", ["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]],
    [".bin where there is nothing else", ["pytorch_model.bin", "config.json"], ["pytorch_model.bin"]],
    ["one file is not taken twice", ["model.safetensors", "model.fp16.safetensors"], ["model.safetensors"]],
    ["the authors' second copy is left", ["consolidated.safetensors", "a.safetensors"], ["a.safetensors"]],
    ["a second copy is better than none", ["consolidated.safetensors"], ["consolidated.safetensors"]],
    ["what training left is left", ["pytorch_model.bin", "optimizer.bin", "training_args.bin"], ["pytorch_model.bin"]],
    ["an adapter's", ["adapter_model.safetensors", "training_args.bin"], ["adapter_model.safetensors"]],
    ["an adapter's in .bin", ["adapter_model.bin", "optimizer.pt"], ["adapter_model.bin"]],
    ["checkpoints", ["consolidated.00.pth", "consolidated.01.pth"], ["consolidated.00.pth", "consolidated.01.pth"]],
    ["none", ["tf_model.h5", "flax_model.msgpack"], []],
  ])("%s", (_, names, chosen) => {
    expect(weights(...names)).toEqual(chosen);
  });

  test("are those that the index names, if they are all there", () => {
    const names = [INDEX, "a.safetensors", "b.safetensors", "c.safetensors"];
    const shards = ["a.safetensors", "b.safetensors"];
    expect(chooseFiles(names, { name: INDEX, shards })).toEqual({ weights: shards, sides: [INDEX] });
    const stale = { name: INDEX, shards: ["a.safetensors", "gone.safetensors"] };
    expect(chooseFiles([INDEX, "a.safetensors"], stale)).toEqual({ weights: ["a.safetensors"], sides: [] });
  });
});

test("beside the weights lie configurations, tokenizers, templates and code", () => {
  const wanted = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "merges.txt",
  ];
  wanted.push("chat_template.jinja", "qwen.tiktoken", "tokenization_qwen.py", "preprocessor_config.json");
  const unwanted = ["README.md", "LICENSE", "trainer_state.json", BIN_INDEX, "events.out", "figure.png", "notes.txt"];
  expect(chooseFiles([...wanted, ...unwanted, "model.safetensors"], undefined).sides).toEqual(wanted);
});
