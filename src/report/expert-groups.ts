/** More experts than these are put together in groups of neighbours: a map of each is no map any more. */
const MOST = 64;

export interface ExpertGroup {
  /** The first and the last expert of it. */
  first: number;
  last: number;
}

/** Groups of equally many experts, but for the last; of one each where there are few. */
export function expertGroups(count: number): ExpertGroup[] {
  const size = Math.max(1, Math.ceil(count / MOST));
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => {
    return { first: i * size, last: Math.min(count, (i + 1) * size) - 1 };
  });
}

/** `expert 3`, or `experts 4 to 7`. */
export function groupName({ first, last }: ExpertGroup): string {
  return first === last ? `expert ${first}` : `experts ${first} to ${last}`;
}
