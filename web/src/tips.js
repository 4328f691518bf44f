// What is said of a point when it is pointed at, or reached with the arrow keys.

import { element } from "./dom.js";
import { stacked, standing } from "./domains.js";
import { numberText } from "./text.js";

const REACH = 22;

/**
 * Every point of a drawing that can be pointed at.
 *
 * @param {Object} scene
 * @param {function(string, *): ?number} place pixels of a value on an axis
 * @returns {Array<{x: number, y: number, row: Object, found: Object, group: Object}>} from left to right
 */
export function pointsOf(scene, place) {
  const points = scene.layers.flatMap((found) => (found.mark === "bar" ? barPoints(found, place) : ownPoints(found, scene, place)));
  return points.filter(({ x, y }) => x !== null && y !== null).sort((one, other) => one.x - other.x || other.y - one.y);
}

function ownPoints(found, scene, place) {
  const { layer } = found;
  if (!layer.x || !layer.y || found.mark === "rule") return [];
  return found.groups
    .filter((group) => !group.hidden)
    .flatMap((group) =>
      standing(group.rows, layer, scene).map((row) => {
        const x = place("x", row[layer.x]);
        return { x: x === null ? null : x + group.aside, y: place("y", row[layer.y]), row, found, group };
      }),
    );
}

function barPoints(found, place) {
  return stacked(found).map(({ row, group, from, to }) => {
    return { x: place("x", row[found.layer.x]), y: place("y", (from + to) / 2), row, found, group };
  });
}

/** The point that is nearest to a place in pixels and within reach; of cells and bars the reach is wider. */
export function nearest(points, x, y, reach = REACH) {
  let best = null;
  let least = reach;
  for (const point of points) {
    const distance = Math.hypot(point.x - x, point.y - y);
    if (distance <= least) [best, least] = [point, distance];
  }
  return best;
}

/**
 * What is said of a point: `[label, text]` of its place, its interval, its value and its tips.
 */
export function linesOf({ row, found, group }, scene) {
  const { layer } = found;
  const interval =
    layer.low && row[layer.low] !== null && row[layer.low] !== undefined
      ? ` (${numberText(row[layer.low])} to ${numberText(row[layer.high])})`
      : "";
  const lines = [
    [scene.x.label, numberText(row[layer.x])],
    [scene.y.label, numberText(row[layer.y]) + interval],
  ];
  if (layer.value) lines.push([scene.figure.colour_label || "Value", numberText(row[layer.value])]);
  if (found.numeric) lines.push([scene.figure.colour_by[found.column], numberText(row[found.column])]);
  const told = Object.entries(layer.tips || {}).map(([column, label]) => [label, numberText(row[column])]);
  return { title: found.column && !found.numeric ? group.name : "", lines: [...lines, ...told], picture: layer.picture ? row[layer.picture] : null };
}

/** The tip itself, one for the whole page. */
export class Tip {
  constructor() {
    this.box = element("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    document.body.append(this.box);
  }

  show(said, clientX, clientY) {
    const rows = said.lines.map(([label, text]) => element("div", {}, element("dt", {}, label), element("dd", {}, text)));
    const parts = said.title ? [element("strong", {}, said.title)] : [];
    parts.push(element("dl", {}, ...rows));
    if (said.picture) parts.push(element("img", { src: said.picture, alt: "" }));
    this.box.replaceChildren(...parts);
    this.box.hidden = false;
    const { width, height } = this.box.getBoundingClientRect();
    const left = clientX + 14 + width > innerWidth ? clientX - 14 - width : clientX + 14;
    const top = clientY + 14 + height > innerHeight ? clientY - 14 - height : clientY + 14;
    this.box.style.left = `${Math.max(4, left)}px`;
    this.box.style.top = `${Math.max(4, top)}px`;
  }

  hide() {
    this.box.hidden = true;
  }
}

/** What a tip says, as one sentence for who listens. */
export function sentence(said) {
  return [said.title, ...said.lines.map(([label, text]) => `${label}: ${text}`)].filter(Boolean).join("; ");
}
