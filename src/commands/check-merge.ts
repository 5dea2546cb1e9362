import { type Problem, Report, SinterError } from "../errors.ts";
import { type Decoder, readDecoder } from "../forward/decoder.ts";
import { perplexity, requireHead } from "../forward/perplexity.ts";
import { type Encode, readEncoder } from "../forward/tokens.ts";
import type { Addon } from "../native.ts";
import type { MergePlan } from "../plan/types.ts";
import { columns } from "./columns.ts";
import { openNamedModel, understandModel } from "./open-model.ts";
import { formatPerplexity } from "./perplexity-text.ts";

/** Plain prose, some numbers and some code: any language model of use predicts it far better than chance. */
const CHECK_TEXT = `The harbour was quiet in the early morning. A fisherman mended his nets on the quay, and now and then he
looked up at the sky to see whether the wind would change. "It will rain before noon," he said to the boy who was
helping him, "so we had better finish this first." The boy nodded. He had learned that the old man was usually right
about the weather, and about most other things as well.

There are seven days in a week, twelve months in a year, and sixty minutes in an hour. Water freezes at 0 degrees
Celsius and boils at 100 degrees. The capital of France is Paris; the capital of Italy is Rome.

def add(a, b):
    return a + b

print(add(2, 3))  # prints 5
`;

/** A result this many times as perplexed as the worst of its parents is no better than noise. */
const BROKEN = 10;

/** Exit code where the merge was written, but the result looks broken. */
const CHECK_FAILED = 3;

/** What is needed to run the check text through a model. */
interface Subject {
  decoder: Decoder;
  encode: Encode;
}

/** One model's outcome: a perplexity, or a note why there is none. */
interface Row {
  role: "result" | "parent";
  name: string;
  perplexity?: number;
  note?: string;
}

/** What came of a check: of the result first, then of its parents. */
export interface CheckOutcome {
  rows: readonly Row[];
  /** A table for people. */
  text: string;
  /** Why the result looks broken, if it does; and the command's exit code then. */
  broken: Problem | undefined;
  exitCode: number;
}

/** Where models are looked for. */
interface Places {
  cacheDir: string | undefined;
  architectures?: string | undefined;
}

/**
 * Whether the result of a merge will be of a kind that can be checked: as its base or first model is.
 * @throws SinterError where it is not; before the merge.
 */
export function requireCheckable(plan: MergePlan, places: Places): void {
  const parent = plan.baseModel ?? plan.models[0];
  if (parent === undefined) return;
  const report = new Report();
  openSubject(parent, places, undefined, report);
  if (report.errors.length === 0) return;
  const problems = report.errors.map((problem) => ({ ...problem, message: `--check: ${problem.message}` }));
  throw new SinterError(problems);
}

/** Runs a short text through the result of a merge and through its parents. */
export async function checkMerge(
  plan: MergePlan,
  out: string,
  places: Places,
  addon: Addon,
  signal: AbortSignal,
): Promise<CheckOutcome> {
  const parents = [...new Set([...plan.models, ...(plan.baseModel === undefined ? [] : [plan.baseModel])])];
  const first = plan.baseModel ?? parents[0];
  const donor = first === undefined ? undefined : openSubject(first, places, undefined, new Report());
  const rows: Row[] = [];
  for (const name of [out, ...parents]) {
    const found = await measure(name, places, donor?.encode, addon, signal);
    rows.push({ role: rows.length === 0 ? "result" : "parent", name, ...found });
  }
  const [result, ...others] = rows;
  const worst = Math.max(...others.map(({ perplexity }) => perplexity ?? 0));
  const perplexed = result?.perplexity;
  const broken = perplexed === undefined || (worst > 0 && perplexed > BROKEN * worst) ? looksBroken(out) : undefined;
  return { rows, text: tableOf(rows), broken, exitCode: CHECK_FAILED };
}

function tableOf(rows: readonly Row[]): string {
  const lines = rows.map(({ role, name, perplexity, note = "" }) => [
    `  ${role}`,
    perplexity === undefined ? note : formatPerplexity(perplexity),
    name,
  ]);
  return `perplexity on a short text:\n${columns(lines)}\n`;
}

function looksBroken(out: string): Problem {
  return {
    code: "check-failed",
    message: "the result predicts text far worse than its parents: the merge looks broken",
    path: out,
    hint: "smaller weights or densities, models that come from one base, or another method",
  };
}

/** @param encode the tokenizer of a result that has none of its own. */
async function measure(
  name: string,
  places: Places,
  encode: Encode | undefined,
  addon: Addon,
  signal: AbortSignal,
): Promise<Pick<Row, "perplexity" | "note">> {
  try {
    const report = new Report();
    const subject = openSubject(name, places, encode, report);
    report.throwIfErrors();
    const { decoder, encode: encodeText } = subject as Subject;
    const ids = encodeText(CHECK_TEXT).subarray(0, decoder.shape.positions);
    const windows = { window: ids.length, stride: ids.length };
    const found = await perplexity(decoder, ids, windows, { signal }, addon);
    return { perplexity: found.perplexity };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof SinterError)) throw error;
    const [problem] = error.problems;
    return { note: problem?.code === "not-finite" ? "not finite" : (problem?.message ?? "") };
  }
}

/** @param encode stands in where the model has no tokenizer. */
function openSubject(
  name: string,
  { cacheDir, architectures }: Places,
  encode: Encode | undefined,
  report: Report,
): Subject | undefined {
  const forward = understandModel(openNamedModel(name, cacheDir), architectures);
  const decoder = readDecoder(forward, report);
  if (decoder !== undefined) requireHead(decoder, report);
  const own = new Report();
  const encoder = readEncoder(forward.model, own) ?? encode;
  if (encoder === undefined) for (const problem of own.errors) report.error(problem);
  return decoder === undefined || encoder === undefined ? undefined : { decoder, encode: encoder };
}
