import { copyFileSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DEMO } from "../../scripts/family/shape.ts";
import { writeFamily } from "../../scripts/family/write.ts";
import { ROOT } from "../../scripts/paths.ts";
import { factorShapes, someTensors, writeAdapter } from "../lora/peft.ts";

/** The demo's models in small, so that a merge of them takes a moment. */
export const SHAPE = { ...DEMO, hidden: 112, intermediate: 256, vocab: 512 };

/** What documents call models, besides the demo's own names. */
const NAMES: Readonly<Record<string, string>> = {
  base: "base",
  chat: "chat",
  code: "code",
  a: "chat",
  b: "code",
  model: "base",
  "fine-tune": "chat",
  tuned: "chat",
  "chat-tune": "chat",
  "my-chat-tune": "chat",
  "my-code-tune": "code",
  MODEL: "base",
  DONOR: "chat",
};

/** Files that command lines in documents name. */
const FILES: Readonly<Record<string, string>> = { "my-merge.yml": "ties.yml", "ties.yml": "ties.yml" };

/** Writes the models that `workplace` links to. */
export function writeModels(folder: string): void {
  const models = [
    { name: "base", noise: 0 },
    { name: "chat", noise: 3e-4 },
    { name: "code", noise: 3e-4 },
  ];
  writeFamily(join(folder, "demo", "models"), { shape: SHAPE, models, shardBytes: 60_000_000 });
  const q = "model.layers.0.self_attn.q_proj";
  const factors = someTensors(factorShapes({ [q]: [SHAPE.hidden, SHAPE.hidden] }, 4), 1);
  writeAdapter(join(folder, "demo", "adapter"), {}, factors);
}

/** A folder in which the command lines of one document find what they name. */
export function workplace(folder: string, models: string): string {
  mkdirSync(join(folder, ".zfunc"), { recursive: true });
  mkdirSync(join(folder, ".config", "fish", "completions"), { recursive: true });
  const demo = realpathSync(join(models, "demo"));
  symlinkSync(demo, join(folder, "demo"));
  symlinkSync(join(ROOT, "examples"), join(folder, "examples"));
  for (const [name, model] of Object.entries(NAMES)) symlinkSync(join(demo, "models", model), join(folder, name));
  for (const name of ["a", "b"]) {
    const file = join(demo, "models", NAMES[name] as string, "model.safetensors");
    symlinkSync(file, join(folder, `${name}.safetensors`));
  }
  // A line may write them anew.
  for (const [name, example] of Object.entries(FILES))
    copyFileSync(join(ROOT, "examples", example), join(folder, name));
  writeFileSync(join(folder, "sample.txt"), "A few words, which a model is to predict. ".repeat(20));
  return folder;
}
