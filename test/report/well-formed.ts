/** An element of a page, with its elements in order. */
export interface Element {
  name: string;
  attributes: ReadonlyMap<string, string>;
  children: Element[];
  /** All text in it, entities resolved. */
  text: string;
}

const TOKEN = /<!DOCTYPE html>|<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/gy;
const ENTITY = /&(amp|lt|gt|quot|#39);/g;
const CHARACTERS: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };

/**
 * Parses a page as XML: every element closed, every attribute quoted, every `<` and `&` escaped. Scripts are passed over: no
 * entities are read in them. @throws where it is not.
 */
export function parseMarkup(page: string): Element {
  const source = page.replace(/(<script>)[\s\S]*?(<\/script>)/g, "$1$2");
  const root: Element = { name: "", attributes: new Map(), children: [], text: "" };
  const open = [root];
  const token = new RegExp(TOKEN);
  while (token.lastIndex < source.length) {
    const at = token.lastIndex;
    const match = token.exec(source);
    if (match === null) throw new Error(`not well-formed at ${JSON.stringify(source.slice(at, at + 60))}`);
    const [, closing, name, attributes = "", empty, text] = match;
    const parent = open.at(-1) as Element;
    if (text !== undefined) for (const element of open) element.text += resolve(text);
    else if (name !== undefined && closing) {
      if (parent.name !== name) throw new Error(`</${name}> closes <${parent.name}>`);
      open.pop();
    } else if (name !== undefined) {
      const element: Element = { name, attributes: readAttributes(attributes), children: [], text: "" };
      parent.children.push(element);
      if (!empty) open.push(element);
    }
  }
  if (open.length > 1) throw new Error(`<${open.at(-1)?.name}> is not closed`);
  return root;
}

/** All elements of a name inside another, in order. */
export function elements(within: Element, name: string): Element[] {
  return within.children.flatMap((child) => [...(child.name === name ? [child] : []), ...elements(child, name)]);
}

function readAttributes(text: string): Map<string, string> {
  return new Map([...text.matchAll(/([\w:-]+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, resolve(value)]));
}

function resolve(text: string): string {
  const left = text.replace(ENTITY, "");
  if (left.includes("&")) throw new Error(`a bare & in ${JSON.stringify(text.slice(0, 60))}`);
  return text.replace(ENTITY, (_, name: string) => CHARACTERS[name] as string);
}
