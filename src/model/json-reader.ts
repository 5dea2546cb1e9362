/** Text that is not JSON, or not the JSON that was asked for. */
export class JsonError extends Error {
  constructor(expected: string, position: number) {
    super(`expected ${expected} at character ${position + 1}`);
    this.name = "JsonError";
  }
}

export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
export const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
const NINE = 0x39;

/** So many digits always fit a double exactly. */
const EXACT_DIGITS = 15;
const ANY_NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;

/**
 * Reads JSON from left to right and makes only the values that are asked for: a safetensors header of 100,000 tensors
 * takes half the time that JSON.parse needs, and a key that stands twice is seen.
 * Every method throws JsonError where the text goes on otherwise.
 */
export class JsonReader {
  private position = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** The character that comes next, blanks aside; NaN at the end of the text. */
  peek(): number {
    let code = this.text.charCodeAt(this.position);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      code = this.text.charCodeAt(++this.position);
    }
    return code;
  }

  /** Enters an object or a list. @returns whether it has a member; if not, it is left again. */
  enter(open: number, close: number): boolean {
    this.expect(open);
    if (this.peek() !== close) return true;
    this.position++;
    return false;
  }

  /** Goes on to the next member. @returns whether there is one; if not, the object or list is left. */
  next(close: number): boolean {
    if (this.peek() === COMMA) {
      this.position++;
      return true;
    }
    this.expect(close);
    return false;
  }

  /** The name of an object's member, and the colon after it. */
  key(): string {
    const key = this.string();
    this.expect(COLON);
    return key;
  }

  string(): string {
    this.expect(QUOTE);
    const start = this.position;
    for (;;) {
      const code = this.text.charCodeAt(this.position);
      if (code === QUOTE) return this.text.substring(start, this.position++);
      if (code === BACKSLASH) return this.escapedString(start);
      if (!(code >= 0x20)) throw new JsonError("more text or a quote", this.position);
      this.position++;
    }
  }

  number(): number {
    this.peek();
    const start = this.position;
    let value = 0;
    let code = this.text.charCodeAt(this.position);
    while (code >= ZERO && code <= NINE) {
      value = value * 10 + (code - ZERO);
      code = this.text.charCodeAt(++this.position);
    }
    const digits = this.position - start;
    const leadingZero = digits > 1 && this.text.charCodeAt(start) === ZERO;
    const plain = digits > 0 && digits <= EXACT_DIGITS && !leadingZero;
    // A fraction or an exponent follows: ".", "E" or "e".
    if (plain && code !== 0x2e && code !== 0x45 && code !== 0x65) return value;
    return Number(this.match(ANY_NUMBER, start, "a number"));
  }

  /** Passes over one value of any kind. */
  skip(): void {
    const code = this.peek();
    const start = this.position;
    if (code === QUOTE) this.string();
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) this.skipNested(start);
    else if (code === 0x74 || code === 0x66 || code === 0x6e) this.match(LITERAL, start, "a value");
    else this.match(ANY_NUMBER, start, "a value");
  }

  /** One value of any kind, as JSON.parse makes it. */
  value(): unknown {
    this.peek();
    const start = this.position;
    this.skip();
    return this.parse(start);
  }

  /** Reads with `read`; where that fails, passes over the value instead. @returns undefined in that case. */
  attempt<T>(read: (reader: JsonReader) => T): T | undefined {
    this.peek();
    const start = this.position;
    try {
      return read(this);
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      this.position = start;
      this.skip();
      return undefined;
    }
  }

  /** Only blanks may follow. */
  end(): void {
    if (!Number.isNaN(this.peek())) throw new JsonError("the end", this.position);
  }

  private expect(code: number): void {
    if (this.peek() !== code) throw new JsonError(JSON.stringify(String.fromCharCode(code)), this.position);
    this.position++;
  }

  private match(pattern: RegExp, start: number, expected: string): string {
    pattern.lastIndex = start;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) throw new JsonError(expected, start);
    this.position = start + found.length;
    return found;
  }

  /** A string with a backslash in it: finds its end and leaves the rest to JSON.parse. */
  private escapedString(start: number): string {
    let end = start;
    for (let code = this.text.charCodeAt(end); code !== QUOTE; code = this.text.charCodeAt(end)) {
      if (Number.isNaN(code)) throw new JsonError("a closing quote", this.text.length);
      end += code === BACKSLASH ? 2 : 1;
    }
    this.position = end + 1;
    return this.parse(start - 1) as string;
  }

  /** An object or a list: finds its end without recursion, however deep it is, and has JSON.parse check it. */
  private skipNested(start: number): void {
    let depth = 0;
    do {
      const code = this.text.charCodeAt(this.position);
      if (Number.isNaN(code)) throw new JsonError("a closing bracket", this.position);
      if (code === QUOTE) {
        this.string();
        continue;
      }
      if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
      else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
      this.position++;
    } while (depth > 0);
    this.parse(start);
  }

  /** What stands from `start` up to the present position. */
  private parse(start: number): unknown {
    try {
      return JSON.parse(this.text.substring(start, this.position));
    } catch {
      throw new JsonError("valid JSON", start);
    }
  }
}
