import { basename } from "node:path";
import type { Model } from "../model/types.ts";
import { fenced, quoted, SINTER } from "../plan/card.ts";
import { visibleName } from "../visible.ts";
import type { ExtractionSummary } from "./report.ts";

const HUB_ID = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9_][\w.-]{0,95}$/;

/** README.md of an extracted adapter: front matter for the Hub, what it was made of, the command and what it keeps. */
export function adapterCard(
  { tuned, base }: { tuned: Model; base: Model },
  out: string,
  command: string,
  summary: ExtractionSummary,
): string {
  const id = base.ref.model.path;
  const front = HUB_ID.test(id) ? `base_model: ${id}\n` : "";
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const ranks =
    summary.rank.least === summary.rank.most ? summary.rank.most : `${summary.rank.least} to ${summary.rank.most}`;
  return `---
${front}library_name: peft
tags:
- mergekit
- peft
- lora
- sinter
---

# ${visibleName(basename(out))}

A LoRA adapter extracted with ${SINTER} from ${quoted(tuned.name)}, as the difference to ${quoted(base.name)}.

Rank ${ranks}; of the change of its ${summary.modules.length} modules it keeps ${percent(summary.energy_kept)} of the energy.

${fenced(command, "sh")}
`;
}
