/** What stands before the names of a part in the names of a whole. */
export interface Prefix {
  /** With its last dot; empty where the names are the same. */
  before: string;
  /** Names of the part that the whole has after it. */
  matches: number;
}

/** The text before most of the part's names, in names of the whole; of several the shortest. */
export function sharedPrefix(whole: readonly string[], part: readonly string[]): Prefix {
  const names = new Set(part);
  const counts = new Map<string, number>();
  for (const name of whole) {
    for (let start = 0; start >= 0 && start < name.length; ) {
      if (names.has(name.slice(start))) {
        const before = name.slice(0, start);
        counts.set(before, (counts.get(before) ?? 0) + 1);
      }
      const dot = name.indexOf(".", start);
      start = dot === -1 ? -1 : dot + 1;
    }
  }
  let best: Prefix = { before: "", matches: 0 };
  for (const [before, matches] of counts) {
    const better = matches > best.matches || (matches === best.matches && before.length < best.before.length);
    if (better) best = { before, matches };
  }
  return best;
}

/**
 * For names of a whole, the names that the same tensors have in a part. Most commonly one text stands before all of the
 * part's names; where the part's own names begin with a word that the whole puts elsewhere (`model.layers.0` as
 * `model.language_model.layers.0`), that word does not count.
 * @param fits asked of pairs that only what is left over suggests, which may be chance.
 */
export function matchNames(
  whole: readonly string[],
  part: readonly string[],
  fits: (whole: string, part: string) => boolean,
): Map<string, string> {
  const matched = new Map<string, string>();
  const first = bestMatch(whole, part);
  for (const [name, own] of first) matched.set(name, own);
  const used = new Set(matched.values());
  const left = bestMatch(
    whole.filter((name) => !matched.has(name)),
    part.filter((name) => !used.has(name)),
  );
  for (const [name, own] of left) if (matched.size > 0 && fits(name, own)) matched.set(name, own);
  return matched;
}

/** With the part's names as they are, or without their first word: whichever the whole has more of. */
function bestMatch(whole: readonly string[], part: readonly string[]): [whole: string, part: string][] {
  const full = new Map(part.map((name) => [name, name]));
  const bare = new Map(part.map((name) => [name.slice(name.indexOf(".") + 1), name]));
  const [own, inner] = [full, bare].map((names) => ({ names, prefix: sharedPrefix(whole, [...names.keys()]) })) as [
    { names: Map<string, string>; prefix: Prefix },
    { names: Map<string, string>; prefix: Prefix },
  ];
  const { names, prefix } = inner.prefix.matches > own.prefix.matches ? inner : own;
  return whole.flatMap((name): [string, string][] => {
    const found = name.startsWith(prefix.before) ? names.get(name.slice(prefix.before.length)) : undefined;
    return found === undefined ? [] : [[name, found]];
  });
}
