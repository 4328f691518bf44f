// The small drawing beside a name in a legend.

import { symbol } from "d3-shape";
import { SYMBOLS } from "./symbols.js";

const SVG = "http://www.w3.org/2000/svg";
export const SWATCH = { width: 28, height: 14 };

/** A line, a marker or a block, as the series is drawn. */
export function keyDrawing(key, colour, paper, hollow) {
  const svg = part("svg", { ...SWATCH, viewBox: `0 0 ${SWATCH.width} ${SWATCH.height}`, "aria-hidden": "true" });
  svg.append(...keyParts(key, colour, paper, hollow));
  return svg;
}

/** The parts of such a drawing, for whoever has an SVG of their own. */
export function keyParts(key, colour, paper, hollow) {
  const middle = SWATCH.height / 2;
  if (key.barred) return [part("rect", { x: 6, y: 1, width: 16, height: 12, fill: colour })];
  const parts = [];
  if (key.lined) {
    const dash = key.dash ? { "stroke-dasharray": key.dash } : {};
    parts.push(part("line", { x1: 0, x2: SWATCH.width, y1: middle, y2: middle, stroke: colour, "stroke-width": 1.8, ...dash }));
  }
  if (key.pointed) {
    const drawn = symbol(SYMBOLS[key.marker] || SYMBOLS.o, 52)();
    const place = `translate(${SWATCH.width / 2},${middle})`;
    parts.push(part("path", { d: drawn, transform: place, fill: hollow ? paper : colour, stroke: colour, "stroke-width": 1.4 }));
  }
  return parts;
}

/** An element of SVG with attributes. */
export function part(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
