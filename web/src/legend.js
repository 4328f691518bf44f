// The legend on the page: series are buttons that hide and show them.

import { element } from "./dom.js";
import { strokeOf, THEMES } from "./colours.js";
import { keyDrawing } from "./swatch.js";
import { numberText } from "./text.js";

/**
 * Fills `place` with the legend of a scene.
 *
 * @param {HTMLElement} place
 * @param {Object} keys of `keysOf`
 * @param {string} theme
 * @param {function(string)} onToggle called with the key of a series
 */
export function showLegend(place, keys, theme, onToggle) {
  const focused = document.activeElement?.closest?.(".legend") === place ? document.activeElement.dataset.key : null;
  const list = element("ul", {});
  for (const key of keys.series) list.append(element("li", {}, seriesEntry(key, theme, onToggle)));
  for (const fill of keys.fills) list.append(element("li", { class: "key" }, fillSwatch(fill, theme), fill.text));
  place.replaceChildren();
  if (list.children.length) place.append(list);
  if (keys.scale) place.append(keys.scale.steps ? steps(keys.scale) : bar(keys.scale));
  if (focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function seriesEntry(key, theme, onToggle) {
  const swatch = keyDrawing(key, strokeOf(key, theme), THEMES[theme].paper, false);
  if (!key.switch) return element("span", { class: "key", "data-key": key.key }, swatch, key.name);
  return element(
    "button",
    { type: "button", class: "key", "aria-pressed": String(!key.hidden), "data-key": key.key, onclick: () => onToggle(key.key) },
    swatch,
    key.name,
  );
}

function fillSwatch(fill, theme) {
  const key = { marker: "o", lined: false, pointed: true };
  return keyDrawing(key, THEMES[theme].ink, THEMES[theme].paper, fill.kind === "hollow");
}

function steps({ label, steps: all }) {
  const list = element("ul", {});
  for (const step of all) {
    const block = element("span", { class: "block" });
    block.style.background = step.colour;
    list.append(element("li", { class: "key" }, block, step.label));
  }
  return element("div", { class: "scale" }, element("span", { class: "means" }, label), list);
}

function bar({ label, ends, colours }) {
  const strip = element("span", { class: "strip" });
  strip.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
  const row = element("span", { class: "ends" }, numberText(ends[0], 3), strip, numberText(ends[1], 3));
  return element("div", { class: "scale" }, ...(label ? [element("span", { class: "means" }, label)] : []), row);
}
