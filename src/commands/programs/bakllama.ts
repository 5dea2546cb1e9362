import type { Options } from "../option.ts";

/** What `bakllama` and `sinter bakllama` take of their own. */
export const BAKLLAMA_OPTIONS = {
  fp16: { kind: "flag", name: "fp16", negatable: true, default: false, doc: "Write float16.", group: "Merge" },
} as const satisfies Options;
