// What a figure shows in a state, and the keys of its legend.

import assert from "node:assert/strict";
import { test } from "node:test";
import { keysOf } from "../src/keys.js";
import { openingState, sceneOf } from "../src/scene.js";

const layer = (mark, table, fields = {}) => ({
  mark, table, x: "x", y: "y", series: null, low: null, high: null, filled: null, size: null, value: null, tips: {},
  label: "", shown: true, quiet: false, ...fields,
});
const figure = (layers, fields = {}) => ({
  name: "f", title: "F", choices: [], colour_by: {}, looks: {}, colours: "sequential", colour_label: "", ends: null, square: false,
  keys: {}, x: { label: "x", scale: "linear" }, y: { label: "y", scale: "linear" }, layers, ...fields,
});
const LINES = { x: [1, 2, 1, 2, 1], y: [1, 2, 3, 4, 5], who: ["b", "b", "a", "a", "c"] };

test("series stand in the order of the looks, the others after them with looks of their own", () => {
  const drawn = figure([layer("line", LINES, { series: "who" })], { looks: { a: ["#111111", "s"], b: ["#222222", "o"] } });
  const groups = sceneOf(drawn, openingState(drawn)).layers[0].groups;
  assert.deepEqual(groups.map(({ name }) => name), ["a", "b", "c"]);
  assert.deepEqual(groups.slice(0, 2).map(({ colour, marker }) => [colour, marker]), [["#111111", "s"], ["#222222", "o"]]);
  assert.equal(groups[2].marker, "^");
});

test("series that share places are moved aside, the same in every layer and none in a square", () => {
  const layers = [layer("dot", LINES, { series: "who" }), layer("line", LINES, { series: "who" })];
  const scene = sceneOf(figure(layers), openingState(figure(layers)));
  const asides = scene.layers.map(({ groups }) => groups.map(({ aside }) => aside));
  assert.deepEqual(asides[0], [-6, 0, 6]);
  assert.deepEqual(asides[1], asides[0]);
  const square = figure(layers, { square: true });
  assert.ok(sceneOf(square, openingState(square)).layers[0].groups.every(({ aside }) => aside === 0));
});

test("hiding a series keeps the axes and marks its key", () => {
  const drawn = figure([layer("line", LINES, { series: "who" })]);
  const state = openingState(drawn);
  const before = sceneOf(drawn, state).y.domain;
  state.hidden.add("series:c");
  const scene = sceneOf(drawn, state);
  assert.deepEqual(scene.y.domain, before);
  assert.deepEqual(keysOf(scene).series.map(({ hidden }) => hidden), [false, false, true]);
});

test("a quiet layer has keys of its own, with its label", () => {
  const layers = [layer("line", LINES, { series: "who", quiet: true, label: "published" }), layer("line", LINES, { series: "who" })];
  const keys = keysOf(sceneOf(figure(layers), openingState(figure(layers)))).series;
  assert.equal(keys.length, 6);
  assert.equal(keys[0].name, "published: b");
  assert.ok(keys[0].dash && !keys[0].colour);
  assert.notEqual(keys[0].dash, keys[1].dash);
});

test("numbers give a scale of colours, names a legend", () => {
  const drawn = figure([layer("dot", LINES)], { colour_by: { y: "y (mm)", who: "Who" } });
  const state = openingState(drawn);
  const keys = keysOf(sceneOf(drawn, state));
  assert.deepEqual([keys.series.length, keys.scale.label, keys.scale.ends], [0, "y (mm)", [1, 5]]);
  state.colourBy = "who";
  assert.deepEqual(keysOf(sceneOf(drawn, state)).series.map(({ name }) => name), ["b", "a", "c"]);
});

test("points beyond the axes are counted", () => {
  const drawn = figure([layer("dot", LINES)], { y: { label: "y", scale: "linear", ends: [0, 3] } });
  assert.equal(sceneOf(drawn, openingState(drawn)).left, 2);
});

test("a choice without rows leaves an empty scene", () => {
  const choices = [{ column: "who", label: "Who", options: { z: "Z" } }];
  const drawn = figure([layer("dot", LINES)], { choices });
  assert.ok(sceneOf(drawn, openingState(drawn)).empty);
});
