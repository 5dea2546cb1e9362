/** No name of a tensor is so long. */
export const MAX_NAME_LENGTH = 4096;

/**
 * Whether a tensor may have the name: no model's names hold control characters. They come to terminals, pages and other
 * files; and half a character (a lone surrogate) cannot be written at all.
 */
export function isPrintable(name: string): boolean {
  return !/\p{Cc}/u.test(name) && name.isWellFormed();
}
