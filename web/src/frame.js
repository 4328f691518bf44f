// How large a drawing is and how much room its labels take.

import { wrapped } from "./text.js";
import { numberText } from "./text.js";
import { ticksOf } from "./domains.js";

export const LINE = 16;
const RIGHT = 14;
const GAP = 8;
const LEAST_HEIGHT = 250;
const MOST_HEIGHT = 400;
const SHAPE = 0.62;
const MOST_SQUARE = 440;
const MOST_CELL = 54;
const LEAST_CELL = 3;
const SHARE_OF_NAMES = 0.36;

/**
 * Sizes, margins and labels of a drawing.
 *
 * @returns {{size: Object, inner: Object, labels: Object, room: Object, longest: Object, turned: number, cell: ?Object}}
 */
export function frameOf(scene, { width, measure }) {
  const longest = { y: Math.max(24, width * SHARE_OF_NAMES), x: 0 };
  const left = Math.ceil(Math.min(longest.y, widest(scene.y, measure)) + 12);
  const label = (side, room) => wrapped(side.label, room, measure);
  const top = label(scene.y, width - 4).length * LINE + GAP;
  let inner = { width: width - left - RIGHT };
  const cells = scene.layers.some((layer) => layer.mark === "cell");
  if (scene.square) inner.width = Math.min(inner.width, MOST_SQUARE);
  if (cells) inner.width = Math.min(inner.width, scene.x.domain.length * MOST_CELL);
  const below = belowAxis(scene.x, inner.width, measure);
  longest.x = below.longest;
  const labels = { x: label(scene.x, Math.max(inner.width, 120)), y: label(scene.y, width - 4) };
  const bottom = below.height + labels.x.length * LINE + GAP;
  inner.height = heightOf(scene, width, inner.width, cells);
  const size = {
    width: Math.round(left + inner.width + RIGHT),
    height: Math.round(top + inner.height + bottom),
    marginLeft: left,
    marginRight: RIGHT,
    marginTop: top,
    marginBottom: bottom,
  };
  const cell = cells ? { width: inner.width / scene.x.domain.length, height: inner.height / scene.y.domain.length } : null;
  return { size, inner, labels, cell, longest, turned: below.turned, room: { x: below.room, y: LINE - 2 } };
}

function heightOf(scene, width, inner, cells) {
  if (scene.square) return inner;
  if (!cells) {
    const needed = scene.y.type === "linear" || scene.y.type === "log" ? 0 : scene.y.domain.length * 22;
    return Math.max(needed, Math.min(MOST_HEIGHT, Math.max(LEAST_HEIGHT, width * SHAPE)) - 60);
  }
  const one = Math.min(inner / scene.x.domain.length, scene.y.domain.length > 12 ? MOST_CELL : 38);
  return scene.y.domain.length * Math.max(LEAST_CELL, one);
}

function widest(axis, measure) {
  const texts = axis.type === "band" || axis.type === "point" ? axis.domain : ticksOf(axis, 6).map((tick) => numberText(tick));
  return texts.reduce((most, text) => Math.max(most, measure(typeof text === "number" ? numberText(text, 7) : String(text))), 12);
}

/** Room below the axis: names side by side where they fit, turned where they do not. */
function belowAxis(axis, width, measure) {
  if (axis.type !== "band" && axis.type !== "point") return { height: 24, turned: 0, room: 0, longest: width };
  const name = widest(axis, measure);
  const step = width / Math.max(1, axis.domain.length);
  if (name + 6 <= step) return { height: 24, turned: 0, room: 0, longest: step };
  const longest = 130;
  return { height: Math.min(name, longest) + 12, turned: -90, room: LINE - 2, longest };
}
