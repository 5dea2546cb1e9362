import { type Findable, type Found, indexOf } from "../search.ts";

declare global {
  interface Window {
    /** Set by search-index.js: a script, because a page from a folder may not fetch its neighbours. */
    sinterPassages?: Findable[];
  }
}

/** The box at the top: results below it while one types, arrows move, Escape closes, `/` goes there from anywhere. */
export function searchBox(): void {
  const input = document.querySelector<HTMLInputElement>("#search");
  const list = document.querySelector<HTMLUListElement>("#found");
  const count = document.querySelector("#found-count");
  if (input === null || list === null || count === null) return;
  let index: ReturnType<typeof indexOf> | undefined;

  const show = (found: readonly Found[]) => {
    list.replaceChildren(...found.map(item));
    list.hidden = found.length === 0;
    count.textContent = input.value === "" ? "" : `${found.length === 0 ? "nothing" : found.length} found`;
  };
  const close = () => {
    list.hidden = true;
  };
  input.addEventListener("focus", () => {
    if (index === undefined)
      loadPassages((passages) => {
        index ??= indexOf(passages);
        if (input.value !== "") show(index(input.value));
      });
  });
  input.addEventListener("input", () => show(input.value === "" ? [] : (index?.(input.value) ?? [])));
  input.form?.addEventListener("submit", (event) => {
    event.preventDefault();
    list.querySelector("a")?.click();
  });
  input.form?.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(input, list, event.key === "ArrowDown" ? 1 : -1);
    }
  });
  list.addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
  });
}

function item({ id, page, heading }: Found): HTMLLIElement {
  const link = document.createElement("a");
  link.href = id;
  const where = document.createElement("small");
  where.textContent = page;
  link.append(heading, " ", where);
  const entry = document.createElement("li");
  entry.append(link);
  return entry;
}

/** From the box to the first result, from one to the next, and back. */
function move(input: HTMLInputElement, list: HTMLUListElement, by: number): void {
  const stops: HTMLElement[] = [input, ...list.querySelectorAll("a")];
  const at = stops.indexOf(document.activeElement as HTMLElement);
  stops[(at + by + stops.length) % stops.length]?.focus();
}

function loadPassages(use: (passages: Findable[]) => void): void {
  const script = document.createElement("script");
  script.src = "search-index.js";
  script.addEventListener("load", () => use(window.sinterPassages ?? []));
  document.head.append(script);
}
