/**
 * Characters that a terminal obeys, or that change the order in which others are read: controls, but for the end of a line
 * and the tabulator, and marks of direction. Names in a model's files may have them.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const OBEYED = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u200E\u200F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g;

/** Text with such characters spelt out, so that whoever reads it sees them: `\u001b[2J`. */
export function visible(text: string): string {
  return text.replace(OBEYED, spelt);
}

/** A name as it may stand within a line: ends of lines are spelt out, too. */
export function visibleName(text: string): string {
  return visible(text).replace(/[\n\t]/g, spelt);
}

function spelt(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
