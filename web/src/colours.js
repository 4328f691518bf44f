// Colours and markers: the same names as in `pages/looks.py`, fitted to a light or a dark page.

import { interpolateRdBu, interpolateViridis } from "d3-scale-chromatic";

export const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255"];
export const MARKERS = ["o", "s", "^", "D", "v", "P", "X", "p", "h", "*"];
export const THEMES = {
  light: { paper: "#ffffff", ink: "#222222", quiet: "#6b6b6b", line: "#dcdcdc" },
  dark: { paper: "#16191d", ink: "#e6e6e6", quiet: "#9aa0a6", line: "#363b41" },
};
const LEAST_CONTRAST = 3;
const PROBABILITIES = [
  [0.001, "#08519c", "below 0.001"],
  [0.01, "#3182bd", "below 0.01"],
  [0.05, "#7fb9de", "below 0.05"],
  [Infinity, "#f3f5f7", "0.05 or more"],
];

/** The steps of the colours of p-values, `{colour, label}`, from the smallest. */
export const probabilitySteps = PROBABILITIES.map(([, colour, label]) => ({ colour, label }));

/**
 * The colour of a value of a cell.
 *
 * @param {string} scale `diverging`, `sequential` or `probability`
 * @param {number} value
 * @param {[number, number]} ends the values of the first and the last colour
 */
export function cellColour(scale, value, [low, high]) {
  if (scale === "probability") return PROBABILITIES.find(([limit]) => value < limit)[1];
  const place = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5;
  return hex(scale === "diverging" ? interpolateRdBu(1 - place) : interpolateViridis(place));
}

/** The ends of the colours of values: those given, symmetric around zero where they diverge, or what the values need. */
export function colourEnds(scale, values, given) {
  if (given) return given;
  const numbers = values.filter((value) => typeof value === "number");
  if (scale === "probability" || !numbers.length) return [0, 1];
  const low = numbers.reduce((least, value) => Math.min(least, value), Infinity);
  const high = numbers.reduce((most, value) => Math.max(most, value), -Infinity);
  const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
  return scale === "diverging" ? [-most, most] : [low, high];
}

/** `#rrggbb` of a colour given so, or as `rgb(r, g, b)`. */
export function hex(colour) {
  if (colour.startsWith("#")) return colour;
  const parts = colour.match(/\d+/g).slice(0, 3);
  return `#${parts.map((part) => Number(part).toString(16).padStart(2, "0")).join("")}`;
}

/** Contrast of two colours from 1 to 21, as the Web Content Accessibility Guidelines 2 define it. */
export function contrast(one, other) {
  const [dim, bright] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dim + 0.05);
}

function luminance(colour) {
  const channels = [1, 3, 5].map((start) => parseInt(hex(colour).slice(start, start + 2), 16) / 255);
  const [r, g, b] = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Black or white, whichever can be read better on a colour. */
export function readableOn(colour) {
  return contrast(colour, "#000000") >= contrast(colour, "#ffffff") ? "#000000" : "#ffffff";
}

/** A colour of a series as it can be seen on a page: on a dark one lighter, as far as is needed. */
export function seriesColour(colour, theme) {
  if (theme !== "dark") return colour;
  let seen = hex(colour);
  for (let share = 0.1; contrast(seen, THEMES.dark.paper) < LEAST_CONTRAST && share <= 1; share += 0.1) {
    seen = towardsWhite(colour, share);
  }
  return seen;
}

function towardsWhite(colour, share) {
  const parts = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
  return `#${parts.map((part) => Math.round(part + (255 - part) * share).toString(16).padStart(2, "0")).join("")}`;
}

/** Colour and marker of series without a look of their own, by position. */
export function lookAt(index) {
  return [COLOURS[index % COLOURS.length], MARKERS[index % MARKERS.length]];
}

/** The colour of a series as it is drawn; grey where it has none. */
export function strokeOf(group, theme) {
  return group.colour ? seriesColour(group.colour, theme) : THEMES[theme].quiet;
}

/** The values of the first and the last colour of cells. */
export function endsOf({ layer, rows }, scene) {
  return colourEnds(scene.colours, layer.table[layer.value], scene.figure.ends);
}
