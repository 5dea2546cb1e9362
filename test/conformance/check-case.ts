import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type FloatDtype, isFloat } from "../../src/model/dtype.ts";
import type { MergePlan } from "../../src/plan/types.ts";
import { decode } from "../oracle/dtype.ts";
import { type Comparison, compareTensor, roundingFault, type Truth } from "./compare.ts";
import { configFault } from "./config-meaning.ts";
import { type Execution, leftNothing } from "./execute.ts";
import { JUDGEMENTS, type Judgement } from "./judgements.ts";
import { type Case, type Expected, type Kit, valuesOf } from "./kit.ts";
import { type Output, readOutput } from "./output.ts";
import { isRouter, randomRouterFault, routerFault } from "./routers.ts";
import { statisticsFault, statisticsOf } from "./statistics.ts";
import { transplantTruth } from "./transplants.ts";
import { readView, truthOf } from "./truth.ts";
import { unpacked } from "./unpacked.ts";
import { byToken, recordedIds, tokenIds, vocabularyFaults } from "./vocabulary.ts";

/** What a case came to: faults (none: it passed), and the distances of its tensors to the truth. */
export interface Finding {
  faults: string[];
  comparisons: readonly Comparison[];
}

/** Holds what a command did against the kit. `plan` is what the planner makes of the same command line. */
export function checkCase(kit: Kit, conformanceCase: Case, execution: Execution, plan: MergePlan | undefined): Finding {
  const { name, expect, kind } = conformanceCase;
  if (expect === "refuse")
    return { faults: refusalFaults(execution, /\S/, conformanceCase.exit_code), comparisons: [] };
  const known = JUDGEMENTS[name];
  const judgement = expect === "better" || known?.overrules ? known : undefined;
  if (expect === "better" && judgement === undefined) return onlyFault("nobody has said yet what is better here");
  if (judgement?.right === "print") return { faults: printFaults(execution, judgement.pattern), comparisons: [] };
  if (judgement?.right === "refuse") return { faults: refusalFaults(execution, judgement.naming), comparisons: [] };
  if (execution.exitCode !== 0) return onlyFault(`exit code ${execution.exitCode}: ${firstError(execution.text)}`);
  try {
    const output = readOutput(execution.out);
    if (judgement !== undefined) return checkJudgement(kit, judgement, output, plan);
    const recorded = kit.expected(name);
    const packed = recorded && unpacked(recorded, output.tensors);
    if (packed === undefined) return onlyFault("the kit does not say what is expected");
    const theirIds = recordedIds(kit, name);
    const ourIds = theirIds && tokenIds(output.folder);
    const expected = conformanceCase.compare === "by_token" ? byToken(packed, theirIds, ourIds) : packed;
    const finding =
      // Of mixtures with random routers, all but these is exact.
      kind === "statistical" && kit.statistics(name) !== undefined
        ? { faults: statisticalFaults(kit, name, expected, output, plan), comparisons: [] }
        : checkTensors(
            expected,
            output,
            (tensor) => truths(kit, conformanceCase, tensor, plan),
            kind === "statistical",
          );
    const folder = folderFaults(kit, name, expected, output, conformanceCase.config_donor !== undefined);
    const vocabulary = vocabularyFaults(theirIds, ourIds, conformanceCase.compare === "by_token");
    return { ...finding, faults: [...finding.faults, ...folder, ...vocabulary] };
  } catch (error) {
    return onlyFault(error instanceof Error ? error.message : String(error));
  }
}

function onlyFault(fault: string): Finding {
  return { faults: [fault], comparisons: [] };
}

/** The first error that a program printed. */
export function firstError(text: string): string {
  const line = text.split("\n").find((candidate) => candidate.startsWith("error:"));
  return line ?? text.trim().split("\n").at(-1) ?? "";
}

/** @param exitCode the reference's: scripts tell a wrong command line (2) from other errors. */
function refusalFaults(execution: Execution, naming: RegExp, exitCode = 1): string[] {
  const faults: string[] = [];
  if (execution.exitCode !== exitCode) faults.push(`exit code ${execution.exitCode}, should be ${exitCode}`);
  if (!naming.test(execution.text)) faults.push(`the message does not match ${naming}: ${firstError(execution.text)}`);
  if (!/^error:/m.test(execution.text)) faults.push("no line starts with error:");
  if (/fault in Sinter|^\s+at .*:\d+:\d+\)?$/m.test(execution.text)) faults.push("an internal error");
  if (!leftNothing(execution)) faults.push("something was written");
  return faults;
}

function printFaults(execution: Execution, pattern: RegExp): string[] {
  const faults: string[] = [];
  if (execution.exitCode !== 0) faults.push(`exit code ${execution.exitCode}: ${firstError(execution.text)}`);
  if (!pattern.test(execution.text)) faults.push(`what it printed does not match ${pattern}`);
  if (!leftNothing(execution)) faults.push("something was written");
  return faults;
}

/** Prefers what the reference wrote in float32 from the same inputs, which owes nothing to our planner. */
function truths(
  kit: Kit,
  { name, command }: Pick<Case, "name" | "command">,
  tensor: string,
  plan: MergePlan | undefined,
): Truth[] {
  const computed = plan ? truthOf(plan, tensor) : transplantTruth(kit, command, tensor);
  if (computed === undefined) return [];
  const recorded = name.endsWith("-bf16") ? kit.expected(name.replace(/-bf16$/, "-f32")) : undefined;
  const stored = recorded?.tensors.get(tensor)?.stored;
  if (stored === undefined) return [computed];
  const values = valuesOf(stored).map((x, i) => (computed.contested.has(i) ? (computed.values[i] as number) : x));
  return [{ ...computed, values }, computed];
}

/** Constants that old GPT-NeoX files hold: the reference casts and averages them, booleans too; we copy them. */
const KEPT_BUFFER = /\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/;

/** @param random routers are random numbers. */
function checkTensors(expected: Expected, output: Output, known: (tensor: string) => Truth[], random = false): Finding {
  const faults = nameFaults(expected, output);
  const comparisons: Comparison[] = [];
  for (const [tensor, { dtype, shape, stored }] of expected.tensors) {
    const ours = output.tensors.get(tensor);
    if (ours === undefined || KEPT_BUFFER.test(tensor)) continue;
    if (ours.dtype !== dtype) faults.push(`${tensor} is ${ours.dtype}, should be ${dtype}`);
    else if (!Bun.deepEquals(ours.shape, shape)) faults.push(`${tensor} is [${ours.shape}], should be [${shape}]`);
    else if (stored !== undefined && isRouter(tensor)) {
      const fault = (random ? randomRouterFault : routerFault)(ours, stored);
      if (fault !== undefined) faults.push(`${tensor}: ${fault}`);
    } else if (stored !== undefined) {
      const [best, ...others] = known(tensor);
      let comparison = compareTensor(ours, stored, best);
      for (const other of others) if (comparison.fault !== undefined) comparison = compareTensor(ours, stored, other);
      if (comparison.fault !== undefined) faults.push(`${tensor}: ${comparison.fault}`);
      comparisons.push(comparison);
    }
  }
  return { faults, comparisons };
}

function nameFaults(expected: Expected, output: Output): string[] {
  const missing = [...expected.tensors.keys()].filter((name) => !output.tensors.has(name));
  const surplus = [...output.tensors.keys()].filter((name) => !expected.tensors.has(name));
  return [
    ...(missing.length > 0 ? [`lacks ${missing.length} tensors: ${missing.slice(0, 3).join(", ")}`] : []),
    ...(surplus.length > 0 ? [`has ${surplus.length} tensors too many: ${surplus.slice(0, 3).join(", ")}`] : []),
  ];
}

function statisticalFaults(
  kit: Kit,
  name: string,
  expected: Expected,
  output: Output,
  plan: MergePlan | undefined,
): string[] {
  const faults = nameFaults(expected, output);
  const recorded = kit.statistics(name);
  if (recorded === undefined) return ["the kit has no statistics"];
  for (const [tensor, statistics] of recorded) {
    const ours = output.tensors.get(tensor);
    const base = plan?.ops.find((op) => op.tensor === tensor)?.inputs[0]?.view;
    if (ours === undefined || base === undefined || !isFloat(base.dtype)) continue;
    const actual = statisticsOf(valuesOf(ours), decode(readView(base), base.dtype));
    const fault = statisticsFault(actual, statistics);
    if (fault !== undefined) faults.push(`${tensor}: ${fault}`);
  }
  return faults;
}

/** Cases of which the kit has no card, because it would name folders of the machine that it was made on. */
const NO_CARD_RECORDED: ReadonlySet<string> = new Set(["x-multi"]);

/** @param anyDonor whose tokenizer files are copied depends on chance in the reference. */
function folderFaults(kit: Kit, name: string, expected: Expected, output: Output, anyDonor: boolean): string[] {
  const faults: string[] = [];
  const config = expected.config && (output.config ? configFault(output.config, expected.config) : "no config.json");
  if (config !== undefined) faults.push(config);
  for (const file of [...expected.sideFiles, ...expected.sameBytesAs.keys()]) {
    const optional = anyDonor && file === "chat_template.jinja" && expected.sideFiles.includes("tokenizer.json");
    if (!optional && !existsSync(join(output.folder, file))) faults.push(`${file} is not there`);
  }
  for (const [file, from] of expected.sameBytesAs) {
    if (anyDonor && file === "chat_template.jinja") continue;
    const path = join(output.folder, file);
    const same = existsSync(path) && kit.read(from).equals(readFileSync(path));
    if (!same) faults.push(`${file} is not the same as ${from}`);
  }
  if (NO_CARD_RECORDED.has(name)) return faults;
  const recipe = expected.sideFiles.find((name) => /^mergekit_(moe_)?config\.yml$/.test(name));
  for (const file of ["README.md", recipe ?? "mergekit_config.yml"]) {
    const isThere = existsSync(join(output.folder, file));
    if (isThere !== (recipe !== undefined)) faults.push(`${file} is ${isThere ? "there" : "not there"}`);
  }
  return faults;
}

function checkJudgement(kit: Kit, judgement: Judgement, output: Output, plan: MergePlan | undefined): Finding {
  const finding = judgedTensors(kit, judgement, output, plan);
  for (const [key, value] of Object.entries(judgement.config ?? {})) {
    if (Bun.deepEquals(output.config?.[key], value)) continue;
    finding.faults.push(
      `config.json: ${key} is ${JSON.stringify(output.config?.[key])}, should be ${JSON.stringify(value)}`,
    );
  }
  return finding;
}

function judgedTensors(kit: Kit, judgement: Judgement, output: Output, plan: MergePlan | undefined): Finding {
  if (judgement.right === "like") {
    const expected = kit.expected(judgement.other, judgement.part);
    if (expected === undefined) return onlyFault(`the kit has no ${judgement.other}`);
    const other = { name: judgement.other, command: "" };
    return checkTensors(expected, output, (tensor) => truths(kit, other, tensor, plan));
  }
  if (judgement.right !== "values") return { faults: [], comparisons: [] };
  const faults: string[] = [];
  const tensors = judgement.tensors(kit, output);
  const names = (map: ReadonlyMap<string, unknown>) => [...map.keys()].sort();
  if (!Bun.deepEquals(names(tensors), names(output.tensors))) faults.push("other tensors than there should be");
  for (const [tensor, result] of tensors) {
    const ours = output.tensors.get(tensor);
    const fault = ours && roundingFault(valuesOf(ours), result, ours.dtype as FloatDtype);
    if (fault !== undefined) faults.push(`${tensor}: ${fault}`);
  }
  return { faults, comparisons: [] };
}
