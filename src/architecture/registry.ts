import type { FamilyDefinition } from "./definition.ts";

/** What is known about a family without reading its file. A test holds both lists to what the files say. */
interface FamilyEntry {
  modelTypes: readonly string[];
  architectures: readonly string[];
  /** The paths stand here in full so that `bun build --compile` takes the files into the executable. */
  load: () => FamilyDefinition;
}

/** By file name without `.json`. */
export const FAMILIES: Readonly<Record<string, FamilyEntry>> = {
  gemma2: {
    modelTypes: ["gemma2"],
    architectures: [
      "Gemma2ForCausalLM",
      "Gemma2Model",
      "Gemma2ForSequenceClassification",
      "Gemma2ForTokenClassification",
    ],
    load: () => require("../../architectures/gemma2.json"),
  },
  gpt2: {
    modelTypes: ["gpt2"],
    architectures: ["GPT2LMHeadModel", "GPT2Model", "GPT2ForSequenceClassification", "GPT2ForTokenClassification"],
    load: () => require("../../architectures/gpt2.json"),
  },
  llama: {
    modelTypes: ["llama"],
    architectures: ["LlamaForCausalLM", "LlamaModel", "LlamaForSequenceClassification", "LlamaForTokenClassification"],
    load: () => require("../../architectures/llama.json"),
  },
  mistral: {
    modelTypes: ["mistral"],
    architectures: [
      "MistralForCausalLM",
      "MistralModel",
      "MistralForSequenceClassification",
      "MistralForTokenClassification",
    ],
    load: () => require("../../architectures/mistral.json"),
  },
  phi3: {
    modelTypes: ["phi3"],
    architectures: ["Phi3ForCausalLM", "Phi3Model", "Phi3ForSequenceClassification", "Phi3ForTokenClassification"],
    load: () => require("../../architectures/phi3.json"),
  },
  qwen2: {
    modelTypes: ["qwen2"],
    architectures: ["Qwen2ForCausalLM", "Qwen2Model", "Qwen2ForSequenceClassification", "Qwen2ForTokenClassification"],
    load: () => require("../../architectures/qwen2.json"),
  },
  qwen3: {
    modelTypes: ["qwen3"],
    architectures: ["Qwen3ForCausalLM", "Qwen3Model", "Qwen3ForSequenceClassification", "Qwen3ForTokenClassification"],
    load: () => require("../../architectures/qwen3.json"),
  },
};

/** Names of all families, in alphabetical order. */
export const familyNames: readonly string[] = Object.keys(FAMILIES);

/** The family that describes a class (as `architectures` in config.json names it), else the one for a `model_type`. */
export function findFamily(architecture: string | undefined, modelType: unknown): string | undefined {
  const names = architecture === undefined ? [] : familyNames;
  return (
    names.find((name) => FAMILIES[name]?.architectures.includes(architecture as string)) ??
    familyNames.find((name) => FAMILIES[name]?.modelTypes.includes(modelType as string))
  );
}

/** Reads a family's file, on first use only. */
export function loadFamily(name: string): FamilyDefinition {
  const entry = FAMILIES[name];
  if (entry === undefined) throw new Error(`no family "${name}"`);
  return entry.load();
}
