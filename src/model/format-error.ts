/** What is wrong with a binary file, found deep in its reader; the reader of the whole file makes a `Problem` of it. */
export class FormatError extends Error {
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, hint?: string) {
    super(message);
    this.name = "FormatError";
    this.code = code;
    this.hint = hint;
  }
}
