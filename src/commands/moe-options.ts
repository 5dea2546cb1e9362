import { choice, type Options } from "./option.ts";

/** The option by which mergekit lets all experts be one model. */
export const ALLOW_SAME = {
  kind: "flag",
  name: "i-understand-this-is-not-useful-without-training",
  negatable: false,
  default: false,
  doc: "All experts may be the same model: to be trained, which is what makes them differ.",
} as const;

/** Options of `sinter moe` that no other command has. */
export const MOE_OPTIONS = {
  expertLayout: {
    kind: "value",
    name: "expert-layout",
    metavar: "separate|packed",
    read: choice(["separate", "packed"]),
    default: "separate",
    shownDefault: "separate",
    doc:
      "separate: each expert's weights in tensors of their own, as published models have them and all runtimes read " +
      "them. packed: those of all experts in one tensor, as Transformers 5 holds them in memory.",
    group: "Output",
  },
  allowSame: { ...ALLOW_SAME, group: "Checks" },
} as const satisfies Options;
