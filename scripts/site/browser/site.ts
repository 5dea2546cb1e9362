/** What the pages do in a browser: search, light and dark, copying code. Without it they are whole, too. */
import { searchBox } from "./search.ts";
import { themeButton } from "./theme.ts";

searchBox();
themeButton();
copyButtons();
foldPages();

/** A button on each block of code that copies it. */
function copyButtons(): void {
  for (const block of document.querySelectorAll(".code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(block.querySelector("code")?.textContent ?? "");
      button.textContent = "Copied";
      setTimeout(() => {
        button.textContent = "Copy";
      }, 2000);
    });
    block.append(button);
  }
}

/** On a narrow screen the list of pages begins closed. */
function foldPages(): void {
  const pages = document.querySelector<HTMLDetailsElement>("#pages");
  if (pages !== null && matchMedia("(max-width: 50rem)").matches) pages.open = false;
}
