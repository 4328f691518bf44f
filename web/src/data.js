// Tables as they come in the page, and what is chosen of them. No part of the browser is touched here.

/**
 * The rows of a table that the choices leave.
 *
 * @param {{table: Object<string, Array>}} layer
 * @param {Object<string, string>} chosen value by column; columns that the layer lacks choose nothing
 * @returns {Array<Object>} one object a row
 */
export function chosenRows(layer, chosen) {
  const names = Object.keys(layer.table);
  const length = names.length ? layer.table[names[0]].length : 0;
  const asked = Object.entries(chosen).filter(([column]) => column in layer.table);
  const rows = [];
  for (let i = 0; i < length; i++) {
    if (asked.every(([column, value]) => String(layer.table[column][i]) === value)) {
      rows.push(Object.fromEntries(names.map((name) => [name, layer.table[name][i]])));
    }
  }
  return rows;
}

/** Whether every value that is there is a number, and there is one. */
export function isNumeric(values) {
  const there = values.filter((value) => value !== null && value !== undefined);
  return there.length > 0 && there.every((value) => typeof value === "number");
}

/** The values of a column in the order in which they first appear, without those that are missing. */
export function inOrder(values) {
  return [...new Set(values.filter((value) => value !== null && value !== undefined))];
}

/** What is chosen, in words, for paper and files that have no controls. */
export function chosenWords(figure, { chosen, colourBy }) {
  const words = figure.choices.map(({ column, label, options }) => `${label}: ${options[chosen[column]]}`);
  const colours = Object.keys(figure.colour_by || {}).length > 1 ? [`Coloured by: ${figure.colour_by[colourBy]}`] : [];
  return [...words, ...colours].join("; ");
}

/** The label of an axis, which may depend on a choice. */
export function axisLabel(axis, chosen) {
  for (const [column, labels] of Object.entries(axis.labels || {})) {
    if (labels[chosen[column]] !== undefined) return labels[chosen[column]];
  }
  return axis.label;
}

/** The scale of an axis: what the reader set, what the choice asks for, or its own. */
export function axisScale(axis, chosen, set) {
  if (axis.scale === "category") return "category";
  if (set) return set;
  for (const [column, values] of Object.entries(axis.logarithmic || {})) {
    if (values.includes(chosen[column])) return "log";
  }
  return axis.scale;
}

/**
 * The layers whose numbers are offered: the first that is not quiet, shown at first and has a series or a value; then those that
 * have a label. Rules without a series hold nothing that the drawing does not say.
 *
 * @returns {Array<Object>}
 */
export function tabledLayers(figure) {
  const painted = Object.keys(figure.colour_by || {}).length ? figure.layers[0] : null;
  const told = figure.layers.filter((layer) => layer.series || layer.value || layer === painted);
  const plain = figure.layers.filter((layer) => layer.mark !== "rule");
  const order = [...told.filter((layer) => !layer.quiet && layer.shown), ...told, ...plain, ...figure.layers];
  const others = figure.layers.filter((layer) => layer !== order[0] && layer.label && (layer.series || layer.mark !== "rule"));
  return [order[0], ...others].filter(Boolean);
}

/**
 * The columns of a layer's table of numbers, `[column, heading]`, the drawn ones first.
 *
 * Columns of a choice have one value in all rows and are left out, as are pictures.
 */
export function headings(figure, layer, chosen) {
  const named = [
    [layer.series, words(layer.series)],
    [layer.x, axisLabel(figure.x, chosen)],
    [layer.y, axisLabel(figure.y, chosen)],
    [layer.low, "Lower end"],
    [layer.high, "Upper end"],
    [layer.x_end, "To, horizontally"],
    [layer.y_end, "To, vertically"],
    [layer.value, figure.colour_label || words(layer.value)],
    [layer.text, "Text"],
    [layer.size, words(layer.size)],
    [layer.filled, figure.keys?.filled || words(layer.filled)],
    ...Object.entries(figure.layers[0] === layer ? figure.colour_by || {} : {}),
    ...Object.entries(layer.tips || {}),
  ];
  const known = new Set();
  return named.filter(([column]) => {
    if (!column || !(column in layer.table) || column === layer.picture || known.has(column)) return false;
    known.add(column);
    return true;
  });
}

/** A column's name as words. */
export function words(column) {
  const text = String(column || "").replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * Rows as CSV (RFC 4180), with all columns but pictures; missing values are empty.
 *
 * Text that a spreadsheet would take for a formula gets an apostrophe before it.
 */
export function csvText(layer, rows) {
  const columns = Object.keys(layer.table).filter((column) => column !== layer.picture);
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  return lines.map((cells) => cells.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+@\-\t\r]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
