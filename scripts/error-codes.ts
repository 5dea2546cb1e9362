/** docs/error-codes.md: every code of a problem that src/ can report, with its messages. `bun run docs` */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./paths.ts";

export const ERROR_CODES_DOC = join(ROOT, "docs", "error-codes.md");

/** One place in the sources that reports a problem. */
export interface Mention {
  code: string;
  /** As it stands in the source, what is filled in as `…`; undefined where it is made elsewhere. */
  message: string | undefined;
  hint: string | undefined;
}

const INTRODUCTION = `# Error codes

This page is made from the sources by \`bun run docs\`: do not edit it. Every error and warning has a code that stays the
same when its words change. \`--json\` shows it (\`problems\`, and \`warnings\` of a plan or a summary, each with \`code\`, \`message\`, \`hint\` and a place),
and so does a \`SinterError\` of [the library](library.md). \`…\` stands for what is filled in. Where the message itself does not
say what to do, that is from [troubleshooting.md](troubleshooting.md), which has them in order.

Exit codes are in [exit-codes.md](exit-codes.md).`;

/** The whole page. */
export function errorCodesDoc(): string {
  const codes = Map.groupBy(sources().flatMap(mentions), ({ code }) => code);
  const rows = [...codes]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, all]) => `| \`${code}\` | ${distinct(all, "message")} | ${distinct(all, "hint") || advice(code)} |`);
  return `${INTRODUCTION}\n\n| Code | Message | What to do |\n| --- | --- | --- |\n${rows.join("\n")}\n`;
}

/** What docs/troubleshooting.md says to do: where it names the code, else where it names all that begin like it. */
function advice(code: string): string {
  const rows = readFileSync(join(ROOT, "docs", "troubleshooting.md"), "utf8").match(/^\| `.*$/gm) ?? [];
  const told = (name: string) =>
    rows.map((row) => row.split(" | ")).find(([codes]) => codes?.includes(`\`${name}\``))?.[1];
  return (told(code) ?? told(`${code.split("-")[0]}-*`) ?? "").replace(/ \|$/, "");
}

function distinct(all: readonly Mention[], key: "message" | "hint"): string {
  return [...new Set(all.flatMap((one) => one[key] ?? []))].map((text) => text.replaceAll("|", "\\|")).join("<br>");
}

function sources(): string[] {
  return readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .toSorted()
    .map((name) => readFileSync(join(ROOT, "src", name), "utf8"));
}

const CODE =
  /\bcode: (?:[^,\n]*\? )?"([a-z][a-z0-9-]+)"(?: : "([a-z][a-z0-9-]+)")?|\bnew FormatError\(\s*"([a-z0-9-]+)"/g;

/** Every code that a source file reports. */
export function mentions(source: string): Mention[] {
  return [...source.matchAll(CODE)].flatMap((match) => {
    const codes = match.slice(1).filter((code) => code !== undefined);
    const texts = match[3] === undefined ? ofProblem(source, match.index) : ofFormatError(source, match.index);
    return codes.map((code) => ({ code, ...texts }));
  });
}

type Texts = Omit<Mention, "code">;

/** Values of `message` and `hint` in the object around, or of constants of these names shortly before it. */
function ofProblem(source: string, at: number): Texts {
  const object = source.slice(at, closing(source, at));
  const before = source.slice(Math.max(0, at - 600), at);
  const own = (key: string) => literals(new RegExp(`\\b${key}: ([\\s\\S]*)`).exec(object)?.[1]);
  const earlier = (key: string) => {
    if (!new RegExp(`\\b${key}[,\\s}]`).test(object)) return undefined;
    return literals(
      before
        .slice(Math.max(0, before.lastIndexOf(`const ${key} =`)))
        .split("=")
        .slice(1)
        .join("="),
    );
  };
  return { message: own("message") ?? earlier("message"), hint: own("hint") ?? earlier("hint") };
}

function ofFormatError(source: string, at: number): Texts {
  const rest = source.slice(source.indexOf(",", at) + 1, at + 600);
  return { message: literals(rest), hint: undefined };
}

/** Where the object that a position lies in ends. */
function closing(source: string, at: number): number {
  let depth = 0;
  for (let i = at; i < source.length; i++) {
    if (source[i] === "{") depth++;
    if (source[i] === "}" && --depth < 0) return i;
  }
  return source.length;
}

const QUOTED = /^\s*(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)')/;

/** The string that an expression begins with, and those added to it. */
function literals(expression: string | undefined): string | undefined {
  let rest = expression ?? "";
  let text: string | undefined;
  for (;;) {
    const quoted = QUOTED.exec(rest);
    const template = quoted === null && /^\s*`/.test(rest) ? readTemplate(rest.trimStart().slice(1)) : undefined;
    if (quoted === null && template === undefined) break;
    text = (text ?? "") + unescaped(quoted?.[1] ?? quoted?.[2] ?? template?.text ?? "");
    rest = quoted === null ? (template?.rest ?? "") : rest.slice(quoted[0].length);
    if (!/^\s*\+/.test(rest)) break;
    rest = rest.replace(/^\s*\+/, "");
  }
  return text === "" ? undefined : text;
}

function unescaped(text: string): string {
  return text.replaceAll("\\n", " ").replace(/\\(.)/g, "$1").replaceAll("<", "&lt;");
}

/** A template from after its first quote, with `…` for each hole (which may hold templates), and what follows it. */
function readTemplate(source: string): { text: string; rest: string } {
  let text = "";
  let i = 0;
  for (; i < source.length && source[i] !== "`"; i++) {
    if (source[i] === "$" && source[i + 1] === "{") {
      i = closing(source, i + 2);
      text += "…";
    } else if (source[i] === "\\") text += `\\${source[++i]}`;
    else text += source[i];
  }
  return { text, rest: source.slice(i + 1) };
}
