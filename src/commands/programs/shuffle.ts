import { decimal, type Options, text } from "../option.ts";

const GROUP = "Layers";

/** What `mergekit-layershuffle` and `sinter shuffle` take besides the options of every merge. */
export const SHUFFLE_OPTIONS = {
  model: {
    kind: "repeated",
    name: "model",
    short: "m",
    metavar: "MODEL",
    read: text,
    doc: "A model whose layers are drawn from.",
    group: GROUP,
  },
  weight: {
    kind: "repeated",
    name: "weight",
    short: "w",
    metavar: "NUMBER",
    read: decimal,
    doc: "How often the model in the same place is drawn, relative to the others. All alike where none is given.",
    group: GROUP,
  },
  printYaml: {
    kind: "flag",
    name: "print-yaml",
    negatable: true,
    default: false,
    doc: "Print the configuration that was drawn.",
    group: GROUP,
  },
  writeYaml: {
    kind: "value",
    name: "write-yaml",
    metavar: "FILE",
    read: text,
    default: undefined,
    doc: "Write the configuration that was drawn.",
    group: GROUP,
  },
  dryRun: {
    kind: "flag",
    name: "dry-run",
    negatable: false,
    default: false,
    doc: "Draw a configuration and do not merge.",
    group: GROUP,
  },
  fp16: { kind: "flag", name: "fp16", negatable: true, default: false, doc: "Write float16.", group: GROUP },
  fullRandom: {
    kind: "flag",
    name: "full-random",
    negatable: true,
    default: false,
    doc: "Draw any layers of a model, as many as its weight times their number, and put all in a random order.",
    group: GROUP,
  },
} as const satisfies Options;
