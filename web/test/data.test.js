// Choosing rows, naming columns, writing CSV.

import assert from "node:assert/strict";
import { test } from "node:test";
import { axisLabel, axisScale, chosenRows, chosenWords, csvText, headings, isNumeric, tabledLayers } from "../src/data.js";

const TABLE = { kind: ["a", "a", "b"], n: [1, 2, 3], value: [0.5, null, -1], picture: ["data:x", null, null] };
const LAYER = { mark: "dot", table: TABLE, x: "n", y: "value", picture: "picture", tips: { kind: "Kind" }, shown: true, label: "" };
const FIGURE = { x: { label: "n" }, y: { label: "value (mm)" }, layers: [LAYER], colour_by: {}, choices: [], keys: {} };

test("choices leave the rows that have their values, in order", () => {
  assert.deepEqual(chosenRows(LAYER, { kind: "a" }).map((row) => row.n), [1, 2]);
  assert.deepEqual(chosenRows(LAYER, { kind: "c" }), []);
  assert.deepEqual(chosenRows(LAYER, {}).length, 3);
});

test("a choice of a column that a layer lacks leaves all of it", () => {
  assert.equal(chosenRows(LAYER, { score: "auc" }).length, 3);
  assert.equal(chosenRows({ table: {} }, {}).length, 0);
});

test("numbers are chosen by their text", () => {
  assert.deepEqual(chosenRows(LAYER, { n: "2" }), [{ kind: "a", n: 2, value: null, picture: null }]);
});

test("missing values do not hide that a column is numbers", () => {
  assert.ok(isNumeric([null, 1]));
  assert.ok(!isNumeric([null]));
  assert.ok(!isNumeric([1, "a"]));
});

test("the label and the scale of an axis follow a choice", () => {
  const axis = { label: "y", scale: "linear", labels: { score: { mae: "MAE (years)" } }, logarithmic: { score: ["mae"] } };
  assert.equal(axisLabel(axis, { score: "mae" }), "MAE (years)");
  assert.equal(axisLabel(axis, { score: "r" }), "y");
  assert.equal(axisScale(axis, { score: "mae" }, null), "log");
  assert.equal(axisScale(axis, { score: "mae" }, "linear"), "linear");
  assert.equal(axisScale(axis, { score: "r" }, null), "linear");
  assert.equal(axisScale({ ...axis, scale: "category" }, { score: "mae" }, "log"), "category");
});

test("CSV has every column but pictures, and quotes what needs it", () => {
  const layer = { table: { name: ['say "a", b', "=1+1", "-2", "two\nlines"], value: [1.5, null, 0, -3] }, picture: null };
  const rows = chosenRows(layer, {});
  assert.equal(csvText(layer, rows), 'name,value\r\n"say ""a"", b",1.5\r\n\'=1+1,\r\n-2,0\r\n"two\nlines",-3\r\n');
  assert.ok(!csvText(LAYER, chosenRows(LAYER, {})).includes("data:x"));
});

test("the table that comes first is neither quiet nor hidden; rules have none", () => {
  const table = { a: [1] };
  const layers = [
    { mark: "rule", table, label: "chance", shown: true, quiet: false },
    { mark: "line", table, series: "a", label: "published", shown: false, quiet: true },
    { mark: "dot", table, series: "a", label: "replicates", shown: false, quiet: false },
    { mark: "line", table, series: "a", label: "", shown: true, quiet: false },
  ];
  const found = tabledLayers({ layers, colour_by: {} });
  assert.deepEqual(found.map((layer) => layers.indexOf(layer)), [3, 1, 2]);
});

test("headings are the axes' labels, once a column", () => {
  assert.deepEqual(headings(FIGURE, LAYER, {}), [["n", "n"], ["value", "value (mm)"], ["kind", "Kind"]]);
});

test("what is chosen is said in words", () => {
  const choices = [{ column: "score", label: "Score", options: { auc: "AUC" } }];
  const figure = { ...FIGURE, choices, colour_by: { age: "age (years)", site: "site" } };
  assert.equal(chosenWords(figure, { chosen: { score: "auc" }, colourBy: "site" }), "Score: AUC; Coloured by: site");
  assert.equal(chosenWords(FIGURE, { chosen: {}, colourBy: null }), "");
});
