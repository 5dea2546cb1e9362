import MiniSearch from "minisearch";

/** A passage of a page, as the search finds it. */
export interface Findable {
  /** Where it is: a page, or a heading on it. */
  id: string;
  /** The page's title. */
  page: string;
  heading: string;
  text: string;
}

export interface Found {
  id: string;
  page: string;
  heading: string;
}

const MOST = 12;

/** The index of all passages. Words that begin as a word of the query does count, and slips of a letter in long ones. */
export function indexOf(passages: readonly Findable[]): (query: string) => Found[] {
  const index = new MiniSearch<Findable>({
    fields: ["page", "heading", "text"],
    storeFields: ["page", "heading"],
    // `merge_method`, `--out-shard-size` and `output-is-input` are found whole and by their parts.
    tokenize: (text) =>
      text
        .toLowerCase()
        .match(/[\p{L}\p{N}]+(?:[_-][\p{L}\p{N}]+)*/gu)
        ?.flatMap(withParts) ?? [],
    searchOptions: {
      boost: { page: 4, heading: 3 },
      prefix: true,
      fuzzy: (term) => (term.length > 5 ? 0.2 : false),
      combineWith: "AND",
      // Examples have every word in them; pages that explain it come first.
      boostDocument: (id) => (String(id).startsWith("examples.html") ? 0.3 : 1),
    },
  });
  index.addAll(passages);
  return (query) =>
    index
      .search(query)
      .slice(0, MOST)
      .map(({ id, page, heading }) => ({ id: String(id), page, heading }));
}

function withParts(word: string): string[] {
  const parts = word.split(/[_-]/);
  return parts.length === 1 ? [word] : [word, ...parts];
}
