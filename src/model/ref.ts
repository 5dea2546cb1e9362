/** A folder or a hub id, and for the latter a revision. */
export interface ModelPath {
  path: string;
  revision?: string | undefined;
}

/** What a configuration names: `path@revision+lora@revision`, or the same as a mapping. */
export interface ModelRef {
  model: ModelPath;
  lora?: ModelPath | undefined;
  overrideArchitecture?: string | undefined;
}

/**
 * Reads `base[@rev][+lora[@rev]]`.
 * @returns the reference, or a sentence that says what is wrong with the text.
 */
export function parseModelRef(text: string): ModelRef | string {
  if (text.trim() === "") return "a model name must not be empty";
  const chunks = text.split("+");
  if (chunks.length > 2) return `"${text}" has more than one "+": a model takes one adapter`;
  const model = parseModelPath(chunks[0] ?? "");
  if (typeof model === "string") return model;
  if (chunks.length === 1) return { model };
  const lora = parseModelPath(chunks[1] ?? "");
  if (typeof lora === "string") return lora;
  return { model, lora };
}

/** Reads `path[@revision]`. @returns the path, or a sentence that says what is wrong with the text. */
export function parseModelPath(text: string): ModelPath | string {
  const chunks = text.split("@");
  if (chunks.length > 2) return `"${text}" has more than one "@": a model takes one revision`;
  const path = chunks[0] ?? "";
  if (path.trim() === "") return `"${text}" names no model`;
  return chunks.length === 1 ? { path } : { path, revision: chunks[1] ?? "" };
}

/** The reference as a user would write it. Two references are the same model exactly when these texts are equal. */
export function formatModelRef(ref: ModelRef): string {
  const base = formatModelPath(ref.model);
  const lora = ref.lora === undefined ? "" : `+${formatModelPath(ref.lora)}`;
  const override = ref.overrideArchitecture === undefined ? "" : ` as ${ref.overrideArchitecture}`;
  return base + lora + override;
}

export function formatModelPath(path: ModelPath): string {
  return path.revision === undefined ? path.path : `${path.path}@${path.revision}`;
}
