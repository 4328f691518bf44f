// A figure as an SVG file that needs nothing else: title, drawing, legend, colours written out.

import { strokeOf, THEMES } from "./colours.js";
import { draw } from "./draw.js";
import { keysOf } from "./keys.js";
import { keyParts, part, SWATCH } from "./swatch.js";
import { numberText, wrapped } from "./text.js";

const WIDTH = 720;
const EDGE = 12;
const LINE = 18;
const STRIP = 160;
const THEME = "light";

/**
 * The SVG file of a scene, in the colours of a light page.
 *
 * @param {Object} scene
 * @param {boolean} white whether it has a white background
 * @param {function(string): number} measure
 * @returns {{text: string, width: number, height: number}}
 */
export function standalone(scene, white, measure) {
  const { svg } = draw(scene, { width: WIDTH, theme: THEME, measure });
  const title = wrapped(scene.figure.title, WIDTH / 1.2, measure);
  const under = wrapped(scene.words, WIDTH, measure);
  const above = EDGE + (title.length + under.length) * LINE + 4;
  const group = part("g", { transform: `translate(${EDGE},${above})`, "text-anchor": "middle" });
  group.append(...[...svg.childNodes].filter((node) => node.nodeName !== "style"));
  const below = above + Number(svg.getAttribute("height")) + 6;
  const legend = legendParts(keysOf(scene), measure);
  const height = below + legend.height + EDGE;
  const file = part("svg", { ...rootAttributes(WIDTH + 2 * EDGE, height), role: "img" });
  file.append(part("title", {}), part("desc", {}));
  file.querySelector("title").textContent = scene.figure.title;
  file.querySelector("desc").textContent = scene.figure.description;
  if (white) file.append(part("rect", { width: "100%", height: "100%", fill: "#ffffff" }));
  title.forEach((line, index) => file.append(words(line, EDGE, EDGE + LINE * (index + 0.7), { "font-size": 14, "font-weight": 600 })));
  under.forEach((line, index) => file.append(words(line, EDGE, EDGE + LINE * (title.length + index + 0.7))));
  legend.group.setAttribute("transform", `translate(${EDGE},${below})`);
  file.append(group, legend.group);
  return { text: resolved(file), width: WIDTH + 2 * EDGE, height };
}

function rootAttributes(width, height) {
  return { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "sans-serif", "font-size": 12, fill: THEMES[THEME].ink };
}

function resolved(file) {
  const text = new XMLSerializer().serializeToString(file);
  return text.replaceAll("currentColor", THEMES[THEME].ink).replaceAll("var(--plot-background)", "#ffffff") + "\n";
}

function words(text, x, y, attributes = {}) {
  const made = part("text", { x, y, ...attributes });
  made.textContent = text;
  return made;
}

/** The legend as rows of keys, as many in a row as there is room for. */
function legendParts(keys, measure) {
  const group = part("g", {});
  let [x, y] = [0, 0];
  const add = (parts, text) => {
    const width = SWATCH.width + 6 + measure(text) + 18;
    if (x > 0 && x + width > WIDTH) [x, y] = [0, y + LINE];
    const entry = part("g", { transform: `translate(${x},${y})` });
    entry.append(...parts, words(text, SWATCH.width + 6, 11));
    group.append(entry);
    x += width;
  };
  for (const key of keys.series.filter((each) => !each.hidden)) add(keyParts(key, strokeOf(key, THEME), "#ffffff", false), key.name);
  for (const fill of keys.fills) add(keyParts({ marker: "o", pointed: true }, THEMES[THEME].ink, "#ffffff", fill.kind === "hollow"), fill.text);
  if (keys.scale?.steps && keys.scale.label) add([], keys.scale.label);
  for (const step of keys.scale?.steps || []) add([part("rect", { width: 22, height: 12, y: 1, fill: step.colour, stroke: "#999999", "stroke-width": 0.5 })], step.label);
  let height = x > 0 ? y + LINE : 0;
  if (keys.scale?.colours) {
    group.append(strip(keys.scale, height));
    height += 2 * LINE;
  }
  return { group, height };
}

function strip({ label, ends, colours }, y) {
  const group = part("g", { transform: `translate(0,${y})` });
  const width = STRIP / colours.length;
  colours.forEach((fill, index) => group.append(part("rect", { x: index * width, y: LINE, width: width + 0.3, height: 10, fill })));
  group.append(words(label || "", 0, 12), words(`${numberText(ends[0], 3)} to ${numberText(ends[1], 3)}`, STRIP + 8, LINE + 9));
  return group;
}
