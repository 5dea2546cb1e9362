import type { LowerArgs, MergeMethod } from "./types.ts";
import { numberIn } from "./values.ts";

/** Kernel `copy`, or `linear` with the scale as its one coefficient. */
export const passthrough: MergeMethod = {
  name: "passthrough",
  title: "Passthrough",
  summary: "One model's weights as they are, or scaled: for stacking layers of several models.",
  formula: "out = scale x",
  use: "Stacking layers of one or several models into a deeper one, or converting a model to another dtype.",
  base: "member",
  ownDtype: "widest",
  models: { min: 1, max: 1 },
  random: false,
  parameters: [
    { name: "scale", scope: "model", type: "number", required: false, doc: "Factor on the weights; unset means 1." },
  ],
  lower(args: LowerArgs) {
    const parameters = args.inputs[0]?.parameters ?? {};
    const scale = parameters.scale === undefined ? 1 : numberIn(parameters, "scale");
    if (scale === 1) return { kernel: "copy", inputs: [0], params: [] };
    return { kernel: "linear", inputs: [0], params: [scale] };
  },
};
