import type { Tokenizer } from "./types.ts";

/** What is different between two tokenizers. Lists are in the order of ids. */
export interface TokenizerDiff {
  left: TokenizerFacts;
  right: TokenizerFacts;
  /** Tokens that both have, whatever their ids. */
  shared: number;
  /** Of those, with the same id. */
  sameId: number;
  moved: readonly { token: string; left: number; right: number }[];
  onlyLeft: readonly { token: string; id: number }[];
  onlyRight: readonly { token: string; id: number }[];
  /** Roles (`eos_token`) that another token has, or only one of the two knows. */
  roles: readonly { role: string; left: string | undefined; right: string | undefined }[];
  /** Shared tokens that are special in only one. */
  special: readonly { token: string; left: boolean; right: boolean }[];
  chatTemplate: "same" | "none" | "different" | "only left" | "only right";
}

export interface TokenizerFacts {
  name: string;
  kind: string;
  from: string;
  tokens: number;
  added: number;
  merges: number;
}

/** Compares vocabularies, special tokens and chat templates. */
export function diffTokenizers(left: Tokenizer, right: Tokenizer): TokenizerDiff {
  const moved: { token: string; left: number; right: number }[] = [];
  const onlyLeft: { token: string; id: number }[] = [];
  let sameId = 0;
  for (const [token, id] of left.ids) {
    const other = right.ids.get(token);
    if (other === undefined) onlyLeft.push({ token, id });
    else if (other === id) sameId++;
    else moved.push({ token, left: id, right: other });
  }
  const onlyRight: { token: string; id: number }[] = [];
  for (const [token, id] of right.ids) if (!left.ids.has(token)) onlyRight.push({ token, id });
  return {
    left: factsOf(left),
    right: factsOf(right),
    shared: sameId + moved.length,
    sameId,
    moved: moved.sort((a, b) => a.left - b.left),
    onlyLeft: onlyLeft.sort((a, b) => a.id - b.id),
    onlyRight: onlyRight.sort((a, b) => a.id - b.id),
    roles: rolesOf(left, right),
    special: specialOf(left, right),
    chatTemplate: templatesOf(left.chatTemplate, right.chatTemplate),
  };
}

function factsOf({ name, kind, from, ids, added, merges }: Tokenizer): TokenizerFacts {
  return { name, kind, from, tokens: ids.size, added: added.length, merges: merges.length };
}

function rolesOf(left: Tokenizer, right: Tokenizer): TokenizerDiff["roles"] {
  const names = [...new Set([...left.roles.keys(), ...right.roles.keys()])];
  return names.flatMap((role) => {
    const [a, b] = [left.roles.get(role), right.roles.get(role)];
    return a === b ? [] : [{ role, left: a, right: b }];
  });
}

function specialOf(left: Tokenizer, right: Tokenizer): TokenizerDiff["special"] {
  const isSpecial = ({ added }: Tokenizer) =>
    new Set(added.filter(({ special }) => special).map(({ content }) => content));
  const [a, b] = [isSpecial(left), isSpecial(right)];
  return [...new Set([...a, ...b])].flatMap((token) => {
    if (!left.ids.has(token) || !right.ids.has(token) || a.has(token) === b.has(token)) return [];
    return [{ token, left: a.has(token), right: b.has(token) }];
  });
}

function templatesOf(left: string | undefined, right: string | undefined): TokenizerDiff["chatTemplate"] {
  if (left === undefined) return right === undefined ? "none" : "only right";
  if (right === undefined) return "only left";
  return left.trim() === right.trim() ? "same" : "different";
}
