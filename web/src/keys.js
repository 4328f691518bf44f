// The keys of a legend, as values: which series there are, how they look, what colours and fillings mean.

import { cellColour, colourEnds, endsOf, probabilitySteps } from "./colours.js";

const STEPS = 12;

/**
 * The keys of a scene.
 *
 * @returns {{series: Array, fills: Array, scale: ?Object}} series: `{key, name, colour, marker, dash, hidden, lined, pointed, barred, switch}`
 */
export function keysOf(scene) {
  const series = new Map();
  for (const layer of scene.layers.filter((each) => each.mark !== "cell" && !each.numeric)) {
    for (const group of layer.groups.filter((each) => each.name)) addKey(series, layer, group);
  }
  return { series: [...series.values()], fills: fillsOf(scene), scale: scaleOf(scene) };
}

function addKey(series, layer, group) {
  const named = layer.quiet && layer.column && layer.layer.label ? `${layer.layer.label}: ${group.name}` : group.name;
  const known = series.get(group.key) || { ...group, name: named, lined: false, pointed: false, barred: false };
  known.lined ||= layer.mark === "line" || layer.mark === "rule";
  known.pointed ||= layer.mark === "dot" || (layer.mark === "line" && !layer.quiet);
  known.barred ||= layer.mark === "bar";
  known.switch = Boolean(layer.column);
  series.set(group.key, known);
}

function fillsOf({ figure, layers }) {
  if (!layers.some(({ layer }) => layer.filled)) return [];
  return ["filled", "hollow"].filter((kind) => figure.keys?.[kind]).map((kind) => ({ kind, text: figure.keys[kind] }));
}

function scaleOf(scene) {
  const cells = scene.layers.find((layer) => layer.mark === "cell");
  const numbers = scene.layers.find((layer) => layer.numeric);
  if (cells && scene.colours === "probability") {
    return { label: scene.figure.colour_label || "p", steps: probabilitySteps };
  }
  if (cells) return gradient(scene.colours, endsOf(cells, scene), scene.figure.colour_label);
  if (!numbers) return null;
  const label = scene.figure.colour_by[numbers.column];
  return gradient("sequential", colourEnds("sequential", numbers.values), label);
}

function gradient(scale, ends, label) {
  const at = (index) => ends[0] + ((ends[1] - ends[0]) * index) / (STEPS - 1);
  return { label, ends, colours: Array.from({ length: STEPS }, (_, index) => cellColour(scale, at(index), ends)) };
}
