// The controls of a figure: native elements with labels.

import { element } from "./dom.js";
import { axisScale } from "./data.js";

const MOST_RADIOS = 4;
const MOST_LETTERS = 44;

/**
 * Fills `place` with the controls of a figure.
 *
 * @param {HTMLElement} place
 * @param {Object} figure
 * @param {Object} state changed in place, then `changed` is called
 * @param {function()} changed
 */
export function showControls(place, figure, state, changed) {
  for (const choice of figure.choices) place.append(choiceControl(figure, choice, state, changed));
  if (Object.keys(figure.colour_by || {}).length > 1) place.append(colourControl(figure, state, changed));
  for (const side of ["x", "y"]) {
    if (figure[side].switch && figure[side].scale !== "category") place.append(scaleControl(figure, side, state, changed));
  }
  figure.layers.forEach((layer, index) => {
    if (layer.label) place.append(layerControl(layer, index, state, changed));
  });
}

function choiceControl(figure, choice, state, changed) {
  const choose = (value) => {
    state.chosen[choice.column] = value;
    for (const side of ["x", "y"]) {
      if (choice.column in (figure[side].logarithmic || {})) state.scale[side] = null;
    }
    changed();
  };
  return selection(figure.name, choice.column, choice.label, choice.options, state.chosen[choice.column], choose);
}

function colourControl(figure, state, changed) {
  const choose = (column) => {
    state.colourBy = column;
    changed();
  };
  return selection(figure.name, "colour-by", "Colour by", figure.colour_by, state.colourBy, choose);
}

/** One of several: radio buttons where they are few and short, else a list. */
function selection(name, key, label, options, value, choose) {
  const entries = Object.entries(options);
  const letters = entries.reduce((sum, [, text]) => sum + text.length, 0);
  if (entries.length > MOST_RADIOS || letters > MOST_LETTERS) return list(label, key, entries, value, choose);
  const radios = entries.map(([option, text]) => {
    const attributes = { type: "radio", name: `${name}-${key}`, value: option, checked: option === value };
    return element("label", {}, element("input", { ...attributes, onchange: () => choose(option) }), element("span", {}, text));
  });
  return element("fieldset", { "data-choice": key }, element("legend", {}, label), element("div", { class: "radios" }, ...radios));
}

function list(label, key, entries, value, choose) {
  const options = entries.map(([option, text]) => element("option", { value: option, selected: option === value }, text));
  const select = element("select", { "data-choice": key, onchange: (event) => choose(event.target.value) }, ...options);
  return element("label", { class: "list" }, element("span", {}, label), select);
}

function scaleControl(figure, side, state, changed) {
  const input = element("input", {
    type: "checkbox",
    "data-scale": side,
    onchange: () => {
      state.scale[side] = input.checked ? "log" : "linear";
      changed();
    },
  });
  input.checked = axisScale(figure[side], state.chosen, state.scale[side]) === "log";
  const words = side === "x" ? "Horizontal axis logarithmic" : "Vertical axis logarithmic";
  return element("label", { class: "check" }, input, words);
}

/** Sets the switches of the axes to what is drawn; a scale that the data do not allow cannot be chosen. */
export function agreeControls(place, scene) {
  for (const input of place.querySelectorAll("[data-scale]")) {
    const axis = scene[input.dataset.scale];
    input.checked = axis.type === "log";
    input.disabled = Boolean(axis.blocked);
  }
}

function layerControl(layer, index, state, changed) {
  const input = element("input", {
    type: "checkbox",
    "data-layer": index,
    checked: state.shown[index],
    onchange: () => {
      state.shown[index] = input.checked;
      changed();
    },
  });
  return element("label", { class: "check" }, input, layer.label);
}
