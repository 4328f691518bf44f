// A scene as SVG, drawn by Observable Plot at the width that there is.

import * as Plot from "@observablehq/plot";
import { THEMES } from "./colours.js";
import { apart, ticksOf } from "./domains.js";
import { frameOf, LINE } from "./frame.js";
import { marksOf } from "./marks.js";
import { numberText, shortened } from "./text.js";

const FONT = "12px";

/**
 * Draws a scene.
 *
 * @param {Object} scene of `sceneOf`
 * @param {{width: number, theme: string, measure: function(string): number}} look
 * @returns {{svg: SVGSVGElement, place: function(Object): ?[number, number], frame: Object}}
 */
export function draw(scene, look) {
  const colours = THEMES[look.theme];
  const frame = frameOf(scene, look);
  const svg = Plot.plot({
    ...frame.size,
    style: { color: colours.ink, background: "none", fontFamily: "inherit", fontSize: FONT, overflow: "visible" },
    x: scaleOf(scene.x),
    y: scaleOf(scene.y),
    r: { type: "identity" },
    marks: [...axisMarks(scene, frame, look, colours), ...marksOf(scene, frame, look)],
  });
  nameMarks(svg);
  writeLabels(svg, frame);
  return { svg, frame, place: placing(svg, scene) };
}

function scaleOf({ type, domain }) {
  const padding = type === "band" ? { paddingInner: 0.04, paddingOuter: 0 } : {};
  return { type, domain, axis: null, round: false, ...padding, ...(type === "point" ? { padding: 0.5 } : {}) };
}

/** The place around the drawing says what it is; what Plot says of each mark stays as data. */
function nameMarks(svg) {
  svg.setAttribute("aria-hidden", "true");
  for (const mark of svg.querySelectorAll("[aria-label]")) {
    mark.dataset.mark = mark.getAttribute("aria-label");
    mark.removeAttribute("aria-label");
  }
  for (const mark of svg.querySelectorAll("[aria-hidden]")) mark.removeAttribute("aria-hidden");
}

/** Where a value lies in pixels, by the scales of the drawing; null where it cannot lie. */
function placing(svg, scene) {
  const scales = { x: svg.scale("x"), y: svg.scale("y") };
  return (side, value) => {
    const scale = scales[side];
    if (value === null || value === undefined || !scale) return null;
    if (scene[side].type === "log" && !(value > 0)) return null;
    const at = scale.apply(value);
    return Number.isFinite(at) ? at + (scale.bandwidth || 0) / 2 : null;
  };
}

function axisMarks(scene, frame, look, colours) {
  const cells = scene.layers.some((layer) => layer.mark === "cell");
  const marks = [];
  const x = tickSet(scene.x, frame, "x", look);
  const y = tickSet(scene.y, frame, "y", look);
  if (!cells) {
    marks.push(Plot.gridY(y.values, { stroke: colours.line, strokeOpacity: 1 }));
    if (scene.square) marks.push(Plot.gridX(x.values, { stroke: colours.line, strokeOpacity: 1 }));
  }
  const quietTicks = { tickSize: cells ? 0 : 5, tickPadding: 4, label: null, color: colours.ink };
  marks.push(
    Plot.axisX(x.values, { ...quietTicks, text: x.text, tickRotate: frame.turned, anchor: "bottom" }),
    Plot.axisY(y.values, { ...quietTicks, tickSize: 0, text: y.text, anchor: "left" }),
  );
  if (!cells) marks.push(Plot.ruleY([scene.y.domain[0]].filter(() => scene.y.type !== "point"), { stroke: colours.ink }));
  return marks;
}

function tickSet(axis, frame, side, look) {
  const length = side === "x" ? frame.inner.width : frame.inner.height;
  if (axis.type === "band" || axis.type === "point") {
    const step = Math.max(1, Math.ceil((frame.room[side] * axis.domain.length) / length));
    const values = axis.domain.filter((_, index) => index % step === 0);
    return { values, text: (value) => shortened(numberOrText(value), frame.longest[side], look.measure) };
  }
  const count = Math.max(2, Math.floor(length / (side === "x" ? 80 : 45)));
  const placed = (value) => fraction(axis, value) * length;
  const room = (tick) => (side === "x" ? look.measure(numberText(tick)) + 10 : LINE);
  return { values: apart(ticksOf(axis, count), placed, room), text: (value) => numberText(value) };
}

/** A number of a category (a size) is written as it is, everything else as text. */
function numberOrText(value) {
  return typeof value === "number" ? numberText(value, 7) : String(value);
}

function fraction({ type, domain: [low, high] }, value) {
  return type === "log" ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
}

/** The labels of both axes, in as many lines as they need: y above its axis at the left, x below it in the middle. */
function writeLabels(svg, frame) {
  const { labels, size } = frame;
  labels.y.forEach((line, index) => writeLine(svg, line, 2, LINE * (index + 0.85), "start", "y"));
  const middle = size.marginLeft + frame.inner.width / 2;
  const top = size.height - labels.x.length * LINE;
  labels.x.forEach((line, index) => writeLine(svg, line, middle, top + LINE * (index + 0.6), "middle", "x"));
}

function writeLine(svg, line, x, y, anchor, side) {
  const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
  const attributes = { x, y, "text-anchor": anchor, fill: "currentColor", "data-axis": side, "font-size": FONT };
  for (const [name, value] of Object.entries(attributes)) text.setAttribute(name, value);
  text.textContent = line;
  svg.append(text);
}
