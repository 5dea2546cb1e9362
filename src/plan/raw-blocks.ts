/** Where a tensor lies among the blocks of its model: 0 in the first, 1 in the last. */
export type BlockPlace = (tensor: string) => number;

/** The name of a list of blocks, at its end: `input_blocks`, `layers`, `h`, `down` … */
const BLOCKS = /(^|[._])(blocks?|layers?|resblocks|resnets|stages|h|up|down|double|single)$/;
const NUMBER = /^\d+$/;

/**
 * Finds the blocks of tensors that no family describes, by their names alone. A numbered list is what comes before a
 * number between dots, with all numbers that stand there: `model.diffusion_model.input_blocks` counts 0 to 11. A tensor
 * belongs to the outermost list whose name speaks of blocks or layers; where there is none, to the outermost that counts
 * from 0 without gaps (so `time_embed.0` and `time_embed.2`, a step before and one after an activation, are no blocks).
 * Its place is its number's rank among those of the list.
 * @returns 0 for what belongs to no list, as for weights before and after the layers of a model; 1 for a list of one.
 */
export function inferBlocks(tensors: Iterable<string>): BlockPlace {
  const lists = numberedLists(tensors);
  const ranks = new Map<string, ReadonlyMap<number, number>>();
  for (const [list, numbers] of lists) {
    const sorted = [...numbers].sort((a, b) => a - b);
    ranks.set(list, new Map(sorted.map((number, rank) => [number, rank])));
  }
  const counts = (list: string) => {
    const numbers = lists.get(list) as ReadonlySet<number>;
    return numbers.size > 1 && Math.max(...numbers) === numbers.size - 1;
  };
  return (tensor) => {
    const places = listsOf(tensor);
    const chosen = places.find(({ list }) => BLOCKS.test(list)) ?? places.find(({ list }) => counts(list));
    const rank = chosen && ranks.get(chosen.list);
    if (chosen === undefined || rank === undefined) return 0;
    return rank.size > 1 ? (rank.get(chosen.number) ?? 0) / (rank.size - 1) : 1;
  };
}

/** The numbers of each list. */
function numberedLists(tensors: Iterable<string>): Map<string, Set<number>> {
  const lists = new Map<string, Set<number>>();
  for (const tensor of tensors) {
    for (const { list, number } of listsOf(tensor)) {
      const numbers = lists.get(list);
      if (numbers === undefined) lists.set(list, new Set([number]));
      else numbers.add(number);
    }
  }
  return lists;
}

/** The lists that a tensor lies in, outermost first, and its number in each. */
function listsOf(tensor: string): { list: string; number: number }[] {
  const found: { list: string; number: number }[] = [];
  const parts = tensor.split(".");
  for (let i = 1; i < parts.length - 1; i++) {
    const part = parts[i] as string;
    if (NUMBER.test(part)) found.push({ list: parts.slice(0, i).join("."), number: Number(part) });
  }
  return found;
}
