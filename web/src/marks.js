// The layers of a scene as marks of Observable Plot.

import * as Plot from "@observablehq/plot";
import { cellColour, colourEnds, endsOf, readableOn, strokeOf, THEMES } from "./colours.js";
import { stacked, standing, stands } from "./domains.js";
import { SYMBOLS } from "./symbols.js";

const MANY = 200;
const CROWD = 60;
const LARGEST = 14;
const CELL_FONT = 11;

/** All marks of a scene, from the lowest layer to the topmost. */
export function marksOf(scene, frame, look) {
  const drawers = { line: lineMarks, dot: dotMarks, bar: barMarks, cell: cellMarks, rule: ruleMarks };
  return scene.layers.flatMap((layer) => drawers[layer.mark](layer, scene, frame, look));
}

function lineMarks(found, scene, frame, look) {
  const { layer, quiet } = found;
  return found.groups.filter((group) => !group.hidden).flatMap((group) => {
    const stroke = strokeOf(group, look.theme);
    const rows = sorted(group.rows, layer.x, scene.x).filter((row) => positive(row, layer, scene));
    const line = Plot.line(rows, {
      x: layer.x, y: layer.y, dx: group.aside, stroke, strokeWidth: quiet ? 1.3 : 1.8, clip: true,
      ...(group.dash && { strokeDasharray: group.dash }),
    });
    const markers = quiet || (rows.length > CROWD && !layer.filled) ? [] : pointMarks(found, group, scene, look, rows.length > 20 ? 2.5 : 4);
    return [line, ...intervalMarks(found, group, scene, look), ...markers];
  });
}

function positive(row, layer, scene) {
  return [["x", layer.x], ["y", layer.y]].every(([side, column]) => {
    const value = row[column];
    return value === null || scene[side].type !== "log" || value > 0;
  }) && row[layer.x] !== null;
}

function sorted(rows, column, { type, domain }) {
  const key = type === "point" || type === "band" ? (row) => domain.indexOf(row[column]) : (row) => row[column];
  return [...rows].sort((one, other) => key(one) - key(other));
}

function dotMarks(found, scene, frame, look) {
  return found.groups
    .filter((group) => !group.hidden)
    .flatMap((group) => [...intervalMarks(found, group, scene, look), ...pointMarks(found, group, scene, look, found.rows.length > MANY ? 2.6 : 4)]);
}

function intervalMarks({ layer, quiet }, group, scene, look) {
  if (!layer.low || !layer.high) return [];
  const floor = scene.y.domain[0];
  const rows = group.rows.filter((row) => row[layer.low] !== null && row[layer.high] !== null && stands(row[layer.x], scene.x));
  const shown = rows.filter((row) => row[layer.high] >= floor && row[layer.low] <= scene.y.domain[1]);
  const ends = { y1: (row) => Math.max(floor, row[layer.low]), y2: (row) => Math.min(scene.y.domain[1], row[layer.high]) };
  const stroke = strokeOf(group, look.theme);
  return [Plot.ruleX(shown, { x: layer.x, ...ends, dx: group.aside, stroke, strokeWidth: quiet ? 1 : 1.4 })];
}

function pointMarks(found, group, scene, look, radius) {
  const { layer, quiet } = found;
  const rows = standing(group.rows, layer, scene);
  const colour = colourOf(found, group, look);
  const isFilled = (row) => !quiet && (!layer.filled || row[layer.filled] === true);
  const largest = layer.size ? Math.max(...found.rows.map((row) => row[layer.size] || 0)) : 0;
  return [
    Plot.dot(rows, {
      x: layer.x, y: layer.y, dx: group.aside, symbol: SYMBOLS[group.marker] || SYMBOLS.o,
      r: largest ? (row) => Math.max(1.5, LARGEST * Math.sqrt((row[layer.size] || 0) / largest)) : radius,
      stroke: colour, strokeWidth: radius < 3 ? 0.8 : 1.5,
      fill: (row) => (isFilled(row) ? (typeof colour === "string" ? colour : colour(row)) : THEMES[look.theme].paper),
      fillOpacity: rows.length > MANY || largest ? 0.6 : 1,
    }),
  ];
}

/** The colour of a row's point: of its number where numbers give colours, else of its series. */
export function colourOf(found, group, look) {
  if (!found.numeric) return strokeOf(group, look.theme);
  const ends = colourEnds("sequential", found.values);
  return (row) => (row[found.column] === null ? THEMES[look.theme].quiet : cellColour("sequential", row[found.column], ends));
}

function barMarks(found, scene, frame, look) {
  const { layer } = found;
  const bars = stacked(found);
  const shared = { y1: "from", y2: "to", fill: (bar) => strokeOf(bar.group, look.theme), stroke: THEMES[look.theme].paper, strokeWidth: 0.7 };
  const drawn =
    scene.x.type === "band"
      ? Plot.barY(bars, { x: (bar) => bar.row[layer.x], inset: 0.5, insetLeft: 3, insetRight: 3, ...shared })
      : Plot.rectY(bars, {
          x1: (bar) => bar.row[layer.x] - barWidth(found) / 2, x2: (bar) => bar.row[layer.x] + barWidth(found) / 2, ...shared,
        });
  const zero = scene.y.type === "linear" ? [Plot.ruleY([0], { stroke: THEMES[look.theme].ink })] : [];
  const ends = found.groups.filter((group) => !group.hidden).flatMap((group) => intervalMarks(found, { ...group, colour: null, aside: 0 }, scene, look));
  return [drawn, ...zero, ...ends];
}

/** The width of bars: the given one, or four fifths of the least distance. */
export function barWidth({ layer, rows }) {
  if (layer.width) return layer.width;
  const places = [...new Set(rows.map((row) => row[layer.x]))].sort((one, other) => one - other);
  const steps = places.slice(1).map((place, index) => place - places[index]);
  return 0.8 * (steps.length ? Math.min(...steps) : 1);
}

function cellMarks(found, scene, frame, look) {
  const { layer } = found;
  const ends = endsOf(found, scene);
  const rows = found.rows;
  const fill = (row) => (typeof row[layer.value] === "number" ? cellColour(scene.colours, row[layer.value], ends) : "none");
  const inset = Math.min(frame.cell.width, frame.cell.height) > 12 ? 0.5 : -0.15;
  const cells = Plot.cell(rows, { x: layer.x, y: layer.y, fill, inset });
  if (!layer.text) return [cells];
  const texts = rows.map((row) => row[layer.text]).filter((text) => text !== null);
  const widest = texts.reduce((most, text) => Math.max(most, look.measure(String(text))), 0);
  const size = Math.min(CELL_FONT + 1, Math.floor((CELL_FONT + 1) * ((frame.cell.width - 3) / Math.max(1, widest))));
  if (size < 8 || frame.cell.height < size + 2) return [cells];
  const ink = (row) => (fill(row) === "none" ? THEMES[look.theme].ink : readableOn(fill(row)));
  return [cells, Plot.text(rows, { x: layer.x, y: layer.y, text: (row) => row[layer.text] ?? "", fill: ink, fontSize: size })];
}

function ruleMarks(found, scene, frame, look) {
  const { layer } = found;
  return found.groups.filter((group) => !group.hidden).map((group) => {
    const style = {
      stroke: strokeOf(group, look.theme), strokeWidth: found.quiet ? 1 : 1.3, clip: true,
      ...(group.dash && { strokeDasharray: group.dash }),
    };
    if (!layer.x) return Plot.ruleY(group.rows, { y: layer.y, ...style });
    if (!layer.y) return Plot.ruleX(group.rows, { x: layer.x, ...style });
    return Plot.link(group.rows, {
      x1: layer.x, y1: layer.y, x2: layer.x_end || layer.x, y2: layer.y_end || layer.y, ...style,
    });
  });
}
