import { INTERMEDIATE_OPTION } from "../merge-options.ts";
import { type Options, text } from "../option.ts";

const GROUP = "Several merges";

/** What `mergekit-multi` and `sinter multi` take besides the options of every merge. */
export const MULTI_OPTIONS = {
  outPath: {
    kind: "value",
    name: "out-path",
    metavar: "FOLDER",
    read: text,
    default: undefined,
    doc: "The folder for the final merge, the one without a name. Needed where there is one.",
    group: GROUP,
  },
  intermediateDir: {
    ...INTERMEDIATE_OPTION,
    doc: "Where merges with a name are written, each into a folder of its name. Needed.",
    group: GROUP,
  },
  lazy: {
    kind: "flag",
    name: "lazy",
    negatable: true,
    default: true,
    doc: "Take merges as they are that were finished earlier from the same recipe and inputs; --no-lazy does all again.",
    group: GROUP,
  },
} as const satisfies Options;
