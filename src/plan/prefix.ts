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
