import { readFileSync, statSync } from "node:fs";
import { FormatError } from "./format-error.ts";

/** An index of a million tensors takes half as much, the largest tokenizers a tenth. */
export const MAX_FILE_BYTES = 256 << 20;
/** Lists and objects in each other. Configurations have ten; what is written back is walked through by recursion. */
const MAX_NESTING = 500;

/** The whole of a file beside a model's weights. @throws FormatError where it is too large, else the system's errors. */
export function readBounded(path: string): Buffer {
  const { size } = statSync(path);
  if (size > MAX_FILE_BYTES) {
    throw new FormatError("file-too-large", `the file takes ${size} bytes: more than ${MAX_FILE_BYTES}`);
  }
  return readFileSync(path);
}

/** The same as text. */
export function readBoundedText(path: string): string {
  return readBounded(path).toString("utf8");
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING: readonly number[] = [0x5b, 0x7b];
const CLOSING: readonly number[] = [0x5d, 0x7d];

/** Whether lists and objects of a JSON text are nested deeper than any file has them. */
export function isNestedTooDeeply(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code < 0x5b) continue;
    else if (OPENING.includes(code)) {
      if (++depth > MAX_NESTING) return true;
    } else if (CLOSING.includes(code)) depth--;
  }
  return false;
}

/** The place of the quote that ends the string that begins at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}
