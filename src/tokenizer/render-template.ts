/**
 * Renders a chat template that may be hostile: within bounds on work and memory, which the interpreter itself has not. A
 * template of a hundred letters could else loop for years. Real ones take some thousand steps.
 */
const MOST_STEPS = 1_000_000;
/** Where steps are long ones: loops over long lists that do nothing. */
const MOST_MILLISECONDS = 2000;
/** Characters of a text, and items of a list, that any part of a template may make. */
const MOST_CHARACTERS = 16 << 20;
const MOST_ITEMS = 100_000;

/** Loaded only where a recipe asks for a template. */
const jinja = () => require("@huggingface/jinja") as typeof import("@huggingface/jinja");

/**
 * @param names what the template may name.
 * @throws Error where it is no template, where it raises an exception, and where it goes beyond the bounds.
 */
export function renderTemplate(template: string, names: Readonly<Record<string, unknown>>): string {
  const { Environment, Interpreter, Template } = jinja();
  let steps = 0;
  const begin = performance.now();
  class Bounded extends Interpreter {
    override evaluate(...given: Parameters<InstanceType<typeof Interpreter>["evaluate"]>) {
      if (++steps > MOST_STEPS || performance.now() - begin > MOST_MILLISECONDS)
        throw new Error("it takes too many steps");
      const result = super.evaluate(...given);
      const { value } = result;
      if (typeof value === "string" && value.length > MOST_CHARACTERS) throw new Error("it makes too long a text");
      if (Array.isArray(value) && value.length > MOST_ITEMS) throw new Error("it makes too long a list");
      return result;
    }
  }
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...names })) environment.set(name, value);
  return String(new Bounded(environment).run(new Template(template).parsed).value);
}

/** What every template may name, as in transformers. */
const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: unknown) => {
    throw new Error(String(message));
  },
  range: boundedRange,
  strftime_now: () => "2024-01-01",
};

function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= MOST_ITEMS)) throw new Error("it makes too long a list");
  return Array.from({ length: count }, (_, i) => start + i * step);
}
