import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchCase } from "./cases.ts";
import type { Fact } from "./facts.ts";
import type { MergeRow } from "./merge.ts";

/** What `--methods` calls it, besides the merge methods. */
export const MIXTURE = "moe";

/** Assembling is a copy: hardly more than the floor. */
const TARGET = 1.3;
/** Milliseconds that a mixture of four experts may take, its routers from embeddings, into the page cache. */
const MOST_MILLISECONDS = 3000;

const PROMPTS = [
  ["write a program that sorts a list", "fix this bug"],
  ["tell me a story", "once upon a time"],
  ["solve the equation", "prove that the sum is even"],
  ["translate this into French", "bonjour"],
];

/** A mixture of four experts, its routers from the embeddings of prompts. @param experts folders of four models. */
export function mixtureCase(dir: string, base: string, experts: readonly string[]): BenchCase {
  const text = [
    `base_model: ${JSON.stringify(base)}`,
    "gate_mode: cheap_embed",
    "dtype: bfloat16",
    "experts:",
    ...experts.map((model, i) => `  - ${JSON.stringify({ source_model: model, positive_prompts: PROMPTS[i] })}`),
    "",
  ].join("\n");
  const config = join(dir, "moe.yml");
  writeFileSync(config, text);
  return { name: MIXTURE, command: "moe", noise: 0, target: TARGET, config, inputs: [base, ...experts] };
}

/** The time of the whole command, as a figure of its own. */
export function mixtureFacts(rows: readonly MergeRow[]): Fact[] {
  const row = rows.find(({ name, mode }) => name === MIXTURE && mode === "unsynced");
  if (row === undefined) return [];
  return [{ what: "four experts, cheap_embed", value: row.seconds * 1000, target: MOST_MILLISECONDS, unit: "ms" }];
}
