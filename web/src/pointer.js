// A figure answers the pointer, and the arrow keys while it has the focus.

import { linesOf, nearest, pointsOf, sentence, Tip } from "./tips.js";
import { part } from "./swatch.js";
import { element } from "./dom.js";

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
let tip = null;

/** Makes the drawing of a figure say what its points are. */
export function openPointer(live) {
  tip ||= new Tip();
  const said = element("span", { class: "unseen", role: "status" });
  live.drawing.after(said);
  let reached = -1;
  const leave = () => {
    tip.hide();
    ring(live, null);
  };
  live.drawing.addEventListener("pointermove", (event) => pointAt(live, event));
  live.drawing.addEventListener("pointerdown", (event) => pointAt(live, event));
  live.drawing.addEventListener("pointerleave", leave);
  live.drawing.addEventListener("blur", leave);
  live.drawing.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
    if (!(event.key in STEPS) || !live.drawn) return;
    event.preventDefault();
    const points = pointsOf(live.scene, live.drawn.place);
    if (!points.length) return;
    reached = (reached + STEPS[event.key] + points.length) % points.length;
    said.textContent = sentence(reach(live, points[reached]));
  });
}

function pointAt(live, event) {
  if (!live.drawn) return;
  const { rect, scale } = placed(live);
  const place = [(event.clientX - rect.left) / scale, (event.clientY - rect.top) / scale];
  const { cell } = live.drawn.frame;
  const points = pointsOf(live.scene, live.drawn.place);
  const found = nearest(points, ...place, cell ? Math.max(cell.width, cell.height) * 0.71 : undefined);
  if (found) reach(live, found);
  else {
    tip.hide();
    ring(live, null);
  }
}

/** Shows the tip of a point and a ring around it. */
function reach(live, point) {
  const { rect, scale } = placed(live);
  const said = linesOf(point, live.scene);
  tip.show(said, rect.left + point.x * scale, rect.top + point.y * scale);
  ring(live, point);
  return said;
}

function placed(live) {
  const rect = live.drawn.svg.getBoundingClientRect();
  return { rect, scale: rect.width / Number(live.drawn.svg.getAttribute("width")) };
}

function ring(live, point) {
  const { svg, frame } = live.drawn || {};
  svg?.querySelector(".ring")?.remove();
  if (!svg || !point) return;
  const style = { class: "ring", fill: "none", stroke: "currentColor", "stroke-width": 1.6, "pointer-events": "none" };
  const { cell } = frame;
  svg.append(
    cell
      ? part("rect", { ...style, x: point.x - cell.width / 2, y: point.y - cell.height / 2, width: cell.width, height: cell.height })
      : part("circle", { ...style, cx: point.x, cy: point.y, r: 9 }),
  );
}
