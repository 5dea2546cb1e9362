// Runs in the page: says the figure of the cell under the pointer, or of the one that arrow keys have come to.
(() => {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  let shown;

  function hide() {
    shown?.classList.remove("on");
    shown = undefined;
    tip.hidden = true;
  }

  function show(cell, text) {
    shown?.classList.remove("on");
    shown = cell;
    cell.classList.add("on");
    tip.textContent = text;
    tip.hidden = false;
    const at = cell.getBoundingClientRect();
    const left = at.left + at.width / 2 - tip.offsetWidth / 2;
    const above = at.top - tip.offsetHeight - 6;
    tip.style.left = `${Math.max(4, Math.min(left, document.documentElement.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${above < 4 ? at.bottom + 6 : above}px`;
  }

  // Cells are drawn in the order of the table: row by row, those that are not there left out.
  function cellsOf(map) {
    const [head, ...rows] = map.querySelectorAll("tr");
    const names = [...head.children].map((one) => one.textContent);
    const figures = rows.flatMap((row, x) =>
      [...row.children].flatMap((one, i) =>
        i === 0 || one.textContent === ""
          ? []
          : [
              {
                x,
                y: i - 1,
                text: `${names[0].toLowerCase()} ${row.children[0].textContent}, ${names[i]}: ${one.textContent}`,
              },
            ],
      ),
    );
    const drawn = [...map.querySelectorAll("svg rect")];
    return figures.map((figure, i) => ({ ...figure, element: drawn[i] }));
  }

  // The ends of a row of the drawing, which is a column of the table.
  const ENDS = { Home: 0, End: -1 };
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function nearest(cells, from, [dx, dy]) {
    const ahead = cells.filter(({ x, y }) =>
      dx === 0 ? x === from.x && (y - from.y) * dy > 0 : y === from.y && (x - from.x) * dx > 0,
    );
    return ahead.sort(
      (a, b) => Math.abs(a.x - from.x) + Math.abs(a.y - from.y) - Math.abs(b.x - from.x) - Math.abs(b.y - from.y),
    )[0];
  }

  for (const map of document.querySelectorAll("figure.map")) {
    const region = map.querySelector(".wide");
    let cells;
    let current;
    // Long pages have a hundred thousand cells: a map is read when it is first asked.
    const all = () => (cells ??= cellsOf(map));
    region.setAttribute("role", "application");
    region.setAttribute("aria-label", `${map.getAttribute("aria-label")}: arrow keys go from cell to cell`);
    region.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      const end = ENDS[event.key];
      if (event.key === "Escape") hide();
      if ((step ?? end) === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const from = current ?? all()[0];
      const next =
        end !== undefined
          ? all()
              .filter(({ y }) => y === from?.y)
              .at(end)
          : current === undefined
            ? from
            : nearest(all(), current, step);
      if (next === undefined) return;
      current = next;
      next.element.scrollIntoView({ block: "nearest", inline: "nearest" });
      show(next.element, next.text);
    });
    region.addEventListener("blur", hide);
    region.addEventListener("pointerover", ({ target }) => {
      const found = target.tagName === "rect" ? all().find(({ element }) => element === target) : undefined;
      if (found === undefined) hide();
      else show(found.element, found.text);
    });
    region.addEventListener("pointerleave", hide);
  }
  addEventListener("scroll", () => shown?.closest(".wide") !== document.activeElement && hide(), { passive: true });
})();
