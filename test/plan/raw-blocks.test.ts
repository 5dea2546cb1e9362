import { describe, expect, test } from "bun:test";
import { inferBlocks } from "../../src/plan/raw-blocks.ts";

const names = (pattern: string, count: number) =>
  Array.from({ length: count }, (_, i) => pattern.replace("#", String(i)));

describe("blocks of tensors of no known family", () => {
  test("of a U-Net: input, middle and output blocks are lists of their own", () => {
    const all = [
      ...names("model.diffusion_model.input_blocks.#.0.in_layers.0.weight", 12),
      ...names("model.diffusion_model.middle_block.#.weight", 3),
      ...names("model.diffusion_model.output_blocks.#.1.transformer_blocks.0.attn1.to_q.weight", 12),
      "model.diffusion_model.time_embed.0.weight",
      "model.diffusion_model.time_embed.2.weight",
    ];
    const place = inferBlocks(all);
    expect(place("model.diffusion_model.input_blocks.0.0.in_layers.0.weight")).toBe(0);
    expect(place("model.diffusion_model.input_blocks.3.0.in_layers.0.weight")).toBeCloseTo(3 / 11, 15);
    expect(place("model.diffusion_model.input_blocks.11.0.in_layers.0.weight")).toBe(1);
    expect(place("model.diffusion_model.middle_block.1.weight")).toBe(0.5);
    expect(place("model.diffusion_model.output_blocks.11.1.transformer_blocks.0.attn1.to_q.weight")).toBe(1);
    expect(place("model.diffusion_model.time_embed.2.weight")).toBe(0);
  });

  test("of text encoders: layers, and not the number of the encoder", () => {
    const all = [0, 1].flatMap((i) =>
      names(`conditioner.embedders.${i}.model.text_model.encoder.layers.#.fc1.weight`, 5),
    );
    expect(inferBlocks(all)("conditioner.embedders.1.model.text_model.encoder.layers.2.fc1.weight")).toBe(0.5);
  });

  test("of a variational autoencoder and of diffusers' names", () => {
    const up = names("first_stage_model.decoder.up.#.block.0.conv1.weight", 4);
    expect(up.map(inferBlocks(up))).toEqual([0, 1 / 3, 2 / 3, 1]);
    const down = names("down_blocks.#.attentions.0.transformer_blocks.9.norm1.weight", 3);
    expect(down.map(inferBlocks(down))).toEqual([0, 0.5, 1]);
  });

  test("of a language model: layers, and not experts; a list of another name counts where it has no gaps", () => {
    const experts = [0, 1, 2].flatMap((layer) => names(`model.layers.${layer}.mlp.experts.#.up_proj.weight`, 8));
    expect(inferBlocks(experts)("model.layers.1.mlp.experts.7.up_proj.weight")).toBe(0.5);
    const stages = names("net.part.#.weight", 3);
    expect(stages.map(inferBlocks(stages))).toEqual([0, 0.5, 1]);
  });

  test("a list of one block has its place at the end; what lies in no list, at the start", () => {
    const place = inferBlocks(["blocks.0.weight", "head.weight"]);
    expect([place("blocks.0.weight"), place("head.weight")]).toEqual([1, 0]);
  });

  test("ranks the numbers that are there", () => {
    const place = inferBlocks(["layers.4.w", "layers.8.w", "layers.30.w"]);
    expect([place("layers.4.w"), place("layers.8.w"), place("layers.30.w")]).toEqual([0, 0.5, 1]);
  });
});
