import { readLayerStack } from "../../config/bakllama.ts";
import { readConfigText } from "../../config/read.ts";
import { Report } from "../../errors.ts";
import { layerStackText } from "../../recipes/bakllama.ts";
import { executeMerge, type MergeRequest } from "../execute-merge.ts";
import { printProblems } from "../terminal.ts";

/** Stacks layers as a configuration of bakllama says. @returns the exit code. */
export async function runBakllama(
  config: string,
  fp16: boolean,
  request: Omit<MergeRequest, "config">,
): Promise<number> {
  const report = new Report();
  try {
    const stack = readLayerStack(readConfigText(config), config, { strict: request.options.strict }, report);
    const text = layerStackText(stack, fp16);
    return await executeMerge({ ...request, config: { text, name: `${config} as a merge` } });
  } finally {
    printProblems("warning", report.warnings);
  }
}
