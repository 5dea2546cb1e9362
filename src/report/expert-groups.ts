/** Rows of a map, and cells, that eyes and browsers take: more experts are put together in groups of neighbours. */
const MOST_ROWS = 128;
const MOST_CELLS = 6200;

export interface ExpertGroup {
  /** The first and the last expert of it. */
  first: number;
  last: number;
}

/** Groups of equally many experts, but for the last; of one each where there are few. */
export function expertGroups(count: number, layers: number): ExpertGroup[] {
  const most = Math.max(1, Math.min(MOST_ROWS, Math.floor(MOST_CELLS / Math.max(1, layers))));
  const size = Math.max(1, Math.ceil(count / most));
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => {
    return { first: i * size, last: Math.min(count, (i + 1) * size) - 1 };
  });
}

/** Said of maps whose rows may be groups. */
export function groupNote(groups: readonly ExpertGroup[]): string {
  return groups.some(({ first, last }) => first < last) ? " Of each group, the largest value." : "";
}

/** `expert 3`, or `experts 4 to 7`. */
export function groupName({ first, last }: ExpertGroup): string {
  return first === last ? `expert ${first}` : `experts ${first} to ${last}`;
}
