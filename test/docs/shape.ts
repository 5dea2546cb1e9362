/** The words of a text without its numbers, paths' folders and widths of columns: what does not depend on the machine. */
export function shapeOf(text: string): string {
  return text
    .replaceAll("−", "-")
    .replace(/(?<![\w.])[-+]?\d[\d.,]*(e[-+]?\d+)?/g, "#")
    .replace(/# [kMGT]?B\b/g, "# B")
    .replace(/(?<=\s)\/\S*\//g, "/…/")
    .replace(/[^\S\n]+/g, " ")
    .trim();
}
