const KEY = "sinter-theme";
type Theme = "light" | "dark";

/** Shows the button that changes between light and dark. What is chosen is kept; else it is as the system says. */
export function themeButton(): void {
  const button = document.querySelector<HTMLButtonElement>("#theme");
  if (button === null) return;
  const kept = localStorage.getItem(KEY);
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  const say = () => {
    button.textContent = other(current()) === "dark" ? "Dark" : "Light";
  };
  button.addEventListener("click", () => {
    const next = other(current());
    document.documentElement.dataset.theme = next;
    localStorage.setItem(KEY, next);
    say();
  });
  button.hidden = false;
  say();
}

function current(): Theme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function other(theme: Theme): Theme {
  return theme === "light" ? "dark" : "light";
}
