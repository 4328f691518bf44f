// Axes, ticks, stacks, colours and words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cellColour, colourEnds, contrast, COLOURS, readableOn, seriesColour, THEMES } from "../src/colours.js";
import { apart, domainOf, stacked, ticksOf } from "../src/domains.js";
import { numberText, shortened, wrapped } from "../src/text.js";

const found = (mark, columns, fields = {}) => {
  const names = Object.keys(columns);
  const rows = columns[names[0]].map((_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
  const layer = { table: columns, x: "x", y: "y", ...fields };
  return { layer, mark, rows, groups: [{ rows, hidden: false }] };
};
const axis = { ends: null, ticks: [], switch: false };
const domain = (type, layers, side = "y", fields = {}) =>
  domainOf({ axis: { ...axis, ...fields }, side, type, layers, label: "" });

test("a linear axis has room on both sides, and for intervals", () => {
  const layer = found("dot", { x: [0, 1], y: [0, 10], low: [-10, null] }, { low: "low" });
  assert.deepEqual(domain("linear", [layer]).domain, [-11, 11]);
  assert.deepEqual(domain("linear", [layer], "y", { ends: [0, 5] }).domain, [0, 5]);
});

test("a logarithmic axis takes what is above zero, and none where nothing is", () => {
  const { domain: ends, type } = domain("log", [found("dot", { x: [1, 2], y: [0, 100] })]);
  assert.equal(type, "log");
  assert.ok(ends[0] > 0 && ends[0] < 100 && ends[1] > 100);
  const blocked = domain("log", [found("dot", { x: [1], y: [-3] })]);
  assert.ok(blocked.blocked);
  assert.equal(blocked.type, "linear");
});

test("categories stand in the order of the table, and only those that are shown", () => {
  const layer = found("dot", { x: ["b", "a", "c"], y: [1, 2, 3] });
  layer.rows = layer.rows.filter((row) => row.x !== "a");
  assert.deepEqual(domain("point", [layer], "x").domain, ["b", "c"]);
});

test("bars of a place stand on one another, on both sides of zero", () => {
  const bars = stacked(found("bar", { x: [1, 1, 1, 1, 2], y: [2, 3, -1, -4, 5] }));
  assert.deepEqual(bars.map(({ from, to }) => [from, to]), [[0, 2], [2, 5], [0, -1], [-1, -5], [0, 5]]);
  assert.deepEqual(domain("linear", [found("bar", { x: [1, 1], y: [2, 3] })]).domain, [0, 5.25]);
});

test("ticks lie on the axis; those of logarithms are round", () => {
  assert.deepEqual(ticksOf({ type: "linear", domain: [0, 10], ticks: [5, 50] }, 5), [5]);
  assert.deepEqual(ticksOf({ type: "log", domain: [9, 210], ticks: [] }, 6), [10, 20, 50, 100, 200]);
  assert.deepEqual(ticksOf({ type: "log", domain: [1, 1e6], ticks: [] }, 5).slice(0, 3), [1, 10, 100]);
  assert.ok(ticksOf({ type: "log", domain: [0.61, 0.69], ticks: [] }, 5).length >= 2);
});

test("labels of ticks do not touch", () => {
  assert.deepEqual(apart([1, 2, 3, 4, 10], (tick) => tick * 10, () => 25), [1, 4, 10]);
});

test("p-values are dark below 0.05, and only there", () => {
  const light = (p) => contrast(cellColour("probability", p, [0, 1]), "#000000");
  for (const p of [0, 0.0009, 0.009, 0.049]) assert.ok(light(p) < light(0.05) / 1.4, String(p));
  assert.equal(cellColour("probability", 0.05, [0, 1]), cellColour("probability", 1, [0, 1]));
});

test("diverging colours are alike on both sides of zero, red above and blue below", () => {
  assert.deepEqual(colourEnds("diverging", [-0.2, 0.5, null], null), [-0.5, 0.5]);
  const [red, blue] = [1, -1].map((value) => cellColour("diverging", value, [-1, 1]));
  assert.ok(parseInt(red.slice(1, 3), 16) > parseInt(red.slice(5), 16));
  assert.ok(parseInt(blue.slice(1, 3), 16) < parseInt(blue.slice(5), 16));
  assert.equal(cellColour("diverging", 7, [-1, 1]), red);
});

test("text on any colour of a cell can be read", () => {
  for (let value = 0; value <= 1; value += 0.05) {
    for (const scale of ["diverging", "sequential", "probability"]) {
      const colour = cellColour(scale, value, [0, 1]);
      assert.ok(contrast(colour, readableOn(colour)) >= 4.5, `${scale} ${value}`);
    }
  }
});

test("every series can be seen on a dark page, and keeps its colour on a light one", () => {
  for (const colour of COLOURS) {
    assert.ok(contrast(seriesColour(colour, "dark"), THEMES.dark.paper) >= 3, colour);
    assert.equal(seriesColour(colour, "light"), colour);
  }
});

test("numbers are written as they are read", () => {
  const wanted = [
    [1234567, "1,234,567"], [0.123456, "0.1235"], [-2, "−2"], [0, "0"], [0.00001234, "1.234e−5"], [1e9, "1e9"], [null, "–"],
    [true, "yes"], ["n/a", "n/a"], [1999.5, "2,000"], [0.05, "0.05"],
  ];
  for (const [value, text] of wanted) assert.equal(numberText(value), text);
  assert.equal(numberText(0.1234567, 7), "0.1234567");
});

test("words are wrapped and shortened to their room", () => {
  const measure = (text) => text.length;
  assert.deepEqual(wrapped("one two three", 7, measure), ["one two", "three"]);
  assert.deepEqual(wrapped("", 7, measure), []);
  assert.equal(shortened("parietal", 5, measure), "pari…");
  assert.equal(shortened("short", 5, measure), "short");
});
