// What a figure shows in a given state, as values: rows by series with their looks, axes, colours, keys of the legend.

import { lookAt } from "./colours.js";
import { chosenRows, chosenWords, inOrder, isNumeric, axisLabel, axisScale } from "./data.js";
import { domainOf, standing } from "./domains.js";

const MOST_ASIDE = 6;
const ROOM_ASIDE = 36;
const MOST_SHARED_PLACES = 15;
export const DASHES = ["6 3", "2 3", "7 3 2 3", "10 4", "4 2 1 2 1 2"];

/** The state of a figure when it is opened. */
export function openingState(figure) {
  return {
    chosen: Object.fromEntries(figure.choices.map((choice) => [choice.column, Object.keys(choice.options)[0]])),
    scale: { x: null, y: null },
    shown: figure.layers.map((layer) => layer.shown),
    hidden: new Set(),
    colourBy: Object.keys(figure.colour_by || {})[0] ?? null,
  };
}

/**
 * What is drawn of a figure.
 *
 * @returns {{layers: Array, x: Object, y: Object, square: boolean, empty: boolean, left: number}} `left` counts the points
 *   that lie beyond the ends of an axis, or cannot stand on a logarithmic one; `words` say what is chosen
 */
export function sceneOf(figure, state) {
  const layers = figure.layers.map((layer, index) => layerOf(figure, layer, index, state));
  const shown = layers.filter((layer) => layer.shown && layer.rows.length);
  const scene = { figure, layers: shown, square: figure.square, colours: figure.colours, empty: !shown.length };
  scene.x = axisOf(figure, "x", shown, state);
  scene.y = axisOf(figure, "y", shown, state);
  scene.words = chosenWords(figure, state);
  setAside(shown, scene);
  scene.left = shown.reduce((sum, layer) => sum + leftOut(layer, scene), 0);
  return scene;
}

function layerOf(figure, layer, index, state) {
  const rows = chosenRows(layer, state.chosen);
  const painted = index === 0 && state.colourBy;
  const column = painted ? state.colourBy : layer.series;
  const numeric = Boolean(painted) && isNumeric(layer.table[column] || []);
  const found = { layer, index, rows, mark: layer.mark, quiet: layer.quiet, shown: state.shown[index], numeric };
  found.column = column && column in layer.table ? column : null;
  found.groups = found.column && !numeric ? seriesOf(figure, found, state) : [alone(figure, found, state)];
  if (numeric) found.values = layer.table[column];
  return found;
}

function alone(figure, { layer, index, rows, quiet }, state) {
  const key = `layer:${index}`;
  const dash = quiet ? DASHES[0] : layer.mark === "rule" ? DASHES[1] : null;
  return { key, name: layer.label, rows, colour: null, marker: "o", dash, hidden: state.hidden.has(key), aside: 0 };
}

function seriesOf(figure, { layer, rows, quiet, column }, state) {
  const looked = Object.keys(figure.looks || {});
  const names = inOrder(layer.table[column]).map(textOf);
  const others = names.filter((name) => !looked.includes(name));
  const order = [...looked.filter((name) => names.includes(name)), ...others];
  return order
    .map((name) => {
      const position = looked.length + others.indexOf(name);
      const [colour, marker] = figure.looks?.[name] || lookAt(position);
      const key = `${quiet ? `quiet:${layer.label}` : "series"}:${name}`;
      const own = rows.filter((row) => textOf(row[column]) === name);
      const dash = quiet ? DASHES[order.indexOf(name) % DASHES.length] : null;
      return { key, name, rows: own, colour: quiet ? null : colour, marker, dash, hidden: state.hidden.has(key), aside: 0 };
    })
    .filter((group) => group.rows.length);
}

/** The name of a series as it is written. */
export function textOf(value) {
  return typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
}

/** How many points of a layer have a place that no axis shows. */
function leftOut({ layer, rows, mark }, scene) {
  if (!["line", "dot"].includes(mark) || !layer.x || !layer.y) return 0;
  const placed = rows.filter((row) => row[layer.x] !== null && row[layer.y] !== null);
  return placed.length - standing(placed, layer, scene).length;
}

function axisOf(figure, side, layers, state) {
  const axis = figure[side];
  const scale = axisScale(axis, state.chosen, state.scale[side]);
  const cells = layers.some((layer) => layer.mark === "cell" || layer.mark === "bar");
  const type = scale === "category" || layers.some((layer) => layer.mark === "cell") ? (cells ? "band" : "point") : scale;
  return domainOf({ axis, side, type, layers, label: axisLabel(axis, state.chosen) });
}

/** Moves series that share their few horizontal places a little aside, in pixels, so that their intervals can be told apart. */
function setAside(layers, scene) {
  if (scene.square) return;
  const movable = layers.filter((layer) => isMovable(layer));
  const keys = inOrder(movable.flatMap((layer) => layer.groups.map((group) => group.key)));
  if (keys.length < 2) return;
  const step = Math.min(MOST_ASIDE, ROOM_ASIDE / keys.length);
  for (const group of movable.flatMap((layer) => layer.groups)) {
    group.aside = (keys.indexOf(group.key) - (keys.length - 1) / 2) * step;
  }
}

function isMovable({ layer, mark, quiet, column, numeric, rows }) {
  if (!["line", "dot"].includes(mark) || quiet || !column || numeric || !layer.x) return false;
  return inOrder(rows.map((row) => row[layer.x])).length <= MOST_SHARED_PLACES;
}
