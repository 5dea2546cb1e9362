import family from "../../architectures/schema.json" with { type: "json" };
import { eventSchema } from "./events.ts";
import { mergeSchema, multiSchema } from "./merge.ts";
import { mixtureSchema, stackSchema } from "./others.ts";
import type { Schema } from "./parts.ts";

/** Every kind of file that users write, and what `--events` writes, by the name that `sinter schema` takes. */
export const SCHEMAS: Readonly<Record<string, { doc: string; make: () => Schema }>> = {
  merge: { doc: "A merge.", make: mergeSchema },
  multi: { doc: "One document of a file with several merges.", make: multiSchema },
  moe: { doc: "A mixture of experts.", make: mixtureSchema },
  bakllama: { doc: "A stack of layers in bakllama's format.", make: stackSchema },
  event: { doc: "A line of --events (JSON).", make: eventSchema },
  architecture: { doc: "A model family (JSON).", make: () => family as Schema },
};

/** The schema as text: what `sinter schema NAME` prints. */
export function schemaText(name: string): string {
  return `${JSON.stringify(SCHEMAS[name]?.make(), undefined, 2)}\n`;
}
