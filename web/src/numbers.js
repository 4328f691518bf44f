// The numbers behind a figure, as a table that is made when it is opened.

import { element } from "./dom.js";
import { chosenRows, headings, tabledLayers } from "./data.js";
import { numberText } from "./text.js";

export const MOST_ROWS = 2000;
const DIGITS = 7;

/** A folded table of the numbers of what is shown; `refresh` makes it anew if it is open. */
export function numbersOf(figure, state) {
  const inside = element("div", {});
  const folded = element("details", { class: "numbers" }, element("summary", {}, "Show the numbers"), inside);
  const refresh = () => inside.replaceChildren(...(folded.open ? tables(figure, state) : []));
  folded.addEventListener("toggle", refresh);
  return { folded, refresh };
}

function tables(figure, state) {
  return tabledLayers(figure).flatMap((layer, position) => {
    const rows = chosenRows(layer, state.chosen);
    const caption = position === 0 || !layer.label ? figure.title : `${figure.title}: ${layer.label}`;
    const box = element("div", { class: "box", tabindex: 0, role: "region", "aria-label": `Numbers: ${caption}` });
    box.append(table(figure, layer, rows.slice(0, MOST_ROWS), state.chosen, caption));
    return rows.length > MOST_ROWS ? [box, element("p", { class: "quiet" }, tooMany(rows.length))] : [box];
  });
}

function tooMany(count) {
  return `The first ${numberText(MOST_ROWS)} of ${numberText(count)} rows; the CSV has all of them.`;
}

function table(figure, layer, rows, chosen, caption) {
  const columns = headings(figure, layer, chosen);
  const right = new Set(columns.filter(([column]) => layer.table[column].some((value) => typeof value === "number")).map(([column]) => column));
  const head = columns.map(([column, text]) => element("th", { scope: "col", class: right.has(column) ? "number" : null }, text));
  const body = element("tbody", {});
  for (const row of rows) {
    const cells = columns.map(([column]) =>
      element("td", { class: right.has(column) ? "number" : null }, numberText(row[column], DIGITS)),
    );
    body.append(element("tr", {}, ...cells));
  }
  return element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, ...head)), body);
}
