import { nearest, type Problem } from "../errors.ts";
import alpaca from "./chat-templates/alpaca.jinja" with { type: "text" };
import chatml from "./chat-templates/chatml.jinja" with { type: "text" };
import exaone from "./chat-templates/exaone.jinja" with { type: "text" };
import llama3 from "./chat-templates/llama3.jinja" with { type: "text" };
import mistral from "./chat-templates/mistral.jinja" with { type: "text" };
import { renderTemplate } from "./render-template.ts";

/** The templates that a recipe may name, written after the models' published formats. */
export const CHAT_TEMPLATES: ReadonlyMap<string, string> = new Map(
  Object.entries({ alpaca, chatml, exaone, llama3, mistral }),
);

/** A template's text, or what is wrong with what the recipe says. `auto` is not for here. */
export function namedTemplate(wanted: string): string | Problem {
  const known = CHAT_TEMPLATES.get(wanted);
  if (known !== undefined) return known;
  if (wanted.includes("{{") || wanted.includes("{%")) return wanted;
  const names = ["auto", ...CHAT_TEMPLATES.keys()];
  const close = nearest(wanted, names);
  return {
    code: "chat-template",
    message: `no chat template is called ${JSON.stringify(wanted)}, and it is no Jinja text, which has {{ or {%`,
    hint: close === undefined ? `the names: ${names.join(", ")}` : `did you mean ${close}?`,
  };
}

/** The template that most models have, the first among equals; undefined where none has any. */
export function mostCommonTemplate(templates: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const template of templates) counts.set(template.trim(), (counts.get(template.trim()) ?? 0) + 1);
  let best: string | undefined;
  for (const [template, count] of counts) if (count > (counts.get(best ?? "") ?? 0)) best = template;
  return best;
}

const SYSTEM = { role: "system", content: "Answer briefly." };
const TURNS = [
  { role: "user", content: "How many legs has a spider?" },
  { role: "assistant", content: "Eight." },
  { role: "user", content: "And an ant?" },
];

/**
 * Renders a short conversation with a template, with a system message and, where the template refuses that, without.
 * @param roles `bos_token` and the like, which templates name.
 * @returns what is wrong: it does not render, or leaves out what the user says.
 */
export function checkTemplate(template: string, roles: ReadonlyMap<string, string>): Problem | undefined {
  let rendered: string;
  try {
    rendered = renderConversation(template, roles);
  } catch (error) {
    return {
      code: "chat-template",
      message: `the chat template does not render a short conversation: ${(error as Error).message}`,
      hint: "it is Jinja, and is given messages with role and content, add_generation_prompt, bos_token and eos_token",
    };
  }
  const last = TURNS.at(-1)?.content ?? "";
  if (rendered.includes(last)) return undefined;
  return { code: "chat-template", message: "the chat template leaves out what the user says last" };
}

function renderConversation(template: string, roles: ReadonlyMap<string, string>): string {
  const names = { bos_token: "", eos_token: "", unk_token: "", pad_token: "", ...Object.fromEntries(roles) };
  const given = { ...names, add_generation_prompt: true };
  try {
    return renderTemplate(template, { ...given, messages: [SYSTEM, ...TURNS] });
  } catch {
    return renderTemplate(template, { ...given, messages: TURNS });
  }
}
