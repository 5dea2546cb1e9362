import type { TokenizerDiff, TokenizerFacts } from "../tokenizer/diff.ts";
import { columns } from "./columns.ts";
import type { Encoded } from "./tokens-diff.ts";

/** A tokenizer diff as tables. @param most tokens of each kind to list. */
export function tokenizerDiffText(
  diff: TokenizerDiff,
  encoded: { left: Encoded; right: Encoded } | undefined,
  most: number,
): string {
  const { left, right } = diff;
  const count = (value: number) => value.toLocaleString("en");
  const fact = (label: string, of: (facts: TokenizerFacts) => string) => [label, of(left), of(right)];
  const parts = [
    columns([
      ["", left.name, right.name],
      fact("kind", ({ kind }) => kind),
      fact("read from", ({ from }) => from),
      fact("tokens", ({ tokens }) => count(tokens)),
      fact("added tokens", ({ added }) => count(added)),
      fact("merges", ({ merges }) => count(merges)),
      ["only here", count(diff.onlyLeft.length), count(diff.onlyRight.length)],
    ]),
    columns([
      ["shared", count(diff.shared)],
      ["  same id", count(diff.sameId)],
      ["  another id", count(diff.moved.length)],
      ["chat template", diff.chatTemplate],
    ]),
    list(
      "another id",
      diff.moved.map(({ token, left: a, right: b }) => [quoted(token), String(a), String(b)]),
      most,
    ),
    list(
      `only ${left.name}`,
      diff.onlyLeft.map(({ token, id }) => [quoted(token), String(id)]),
      most,
    ),
    list(
      `only ${right.name}`,
      diff.onlyRight.map(({ token, id }) => [quoted(token), String(id)]),
      most,
    ),
    list("special tokens", specialRows(diff), most),
    encoded && `text\n${columns([textRow(left.name, encoded.left), textRow(right.name, encoded.right)])}`,
  ];
  return `${parts.filter((part) => part !== undefined).join("\n\n")}\n`;
}

function quoted(token: string | undefined): string {
  return token === undefined ? "none" : JSON.stringify(token);
}

function specialRows({ roles, special }: TokenizerDiff): string[][] {
  const flag = (value: boolean) => (value ? "special" : "ordinary");
  return [
    ...roles.map(({ role, left, right }) => [role, quoted(left), quoted(right)]),
    ...special.map(({ token, left, right }) => [quoted(token), flag(left), flag(right)]),
  ];
}

function list(title: string, rows: readonly string[][], most: number): string | undefined {
  if (rows.length === 0) return undefined;
  const shown = rows.slice(0, most).map((row) => [`  ${row[0]}`, ...row.slice(1)]);
  const more = rows.length > most ? `\n  and ${(rows.length - most).toLocaleString("en")} more: --all lists them` : "";
  return `${title}\n${columns(shown)}${more}`;
}

function textRow(name: string, { tokens, ids }: Encoded): string[] {
  return [`  ${name}`, `${ids.length} tokens`, tokens.map((token) => JSON.stringify(token)).join(" ")];
}
