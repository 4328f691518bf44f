// The two ends of an axis, and where its ticks stand.

import { ticks as evenTicks } from "d3-array";
import { inOrder } from "./data.js";

const ROOM = 0.05;

/**
 * An axis as it is drawn: `{type, domain, label, ticks, given, blocked}`.
 *
 * `blocked` says that a logarithmic scale was asked for, but nothing above zero is there.
 */
export function domainOf({ axis, side, type, layers, label }) {
  if (type === "band" || type === "point") {
    return { type, label, domain: categories(layers, side), ticks: [], switch: false };
  }
  const numbers = layers.flatMap((layer) => numbersOf(layer, side));
  const blocked = type === "log" && !numbers.some((value) => value > 0);
  const kept = blocked || type !== "log" ? numbers : numbers.filter((value) => value > 0);
  const scale = blocked ? "linear" : type;
  const anchored = layers.some((layer) => layer.mark === "bar" && side === "y");
  const domain = endsFitting(axis.ends, scale) ?? roomy(kept, scale, anchored);
  return { type: scale, label, domain, blocked, switch: axis.switch, ticks: axis.ticks || [] };
}

function endsFitting(ends, scale) {
  return ends && !(scale === "log" && ends[0] <= 0) ? ends : null;
}

function categories(layers, side) {
  const columns = layers.filter(({ layer }) => layer[side] && layer.mark !== "rule");
  const order = inOrder(columns.flatMap(({ layer }) => layer.table[layer[side]]));
  const present = new Set(columns.flatMap(({ layer, rows }) => rows.map((row) => row[layer[side]])));
  return order.filter((value) => present.has(value));
}

/** Every number that an axis has to have room for. */
function numbersOf({ layer, rows, mark, groups }, side) {
  if (mark === "bar" && side === "y") {
    return [0, ...stacked({ layer, groups }).flatMap((bar) => [bar.from, bar.to]), ...ends(layer, rows, side)];
  }
  const own = rows.map((row) => row[layer[side]]).filter((value) => typeof value === "number");
  if (mark === "bar" && layer.width) return own.flatMap((value) => [value - layer.width / 2, value + layer.width / 2]);
  return [...own, ...ends(layer, rows, side)];
}

function ends(layer, rows, side) {
  const columns = [layer[`${side}_end`], ...(side === "y" ? [layer.low, layer.high] : [])].filter(Boolean);
  return columns.flatMap((column) => rows.map((row) => row[column])).filter((value) => typeof value === "number");
}

/** The bars of a layer, those of one place on top of one another: above zero upwards, below zero downwards. */
export function stacked({ layer, groups }) {
  const tops = new Map();
  return groups
    .filter((group) => !group.hidden)
    .flatMap((group) => group.rows.map((row) => ({ row, group })))
    .filter(({ row }) => typeof row[layer.y] === "number")
    .map(({ row, group }) => {
      const place = `${row[layer.x]}|${row[layer.y] < 0}`;
      const from = tops.get(place) || 0;
      tops.set(place, from + row[layer.y]);
      return { row, group, from, to: from + row[layer.y] };
    });
}

function roomy(numbers, scale, anchored) {
  if (!numbers.length) return scale === "log" ? [1, 10] : [0, 1];
  const low = numbers.reduce((least, value) => Math.min(least, value), Infinity);
  const high = numbers.reduce((most, value) => Math.max(most, value), -Infinity);
  if (scale === "log") {
    const factor = low === high ? 1.5 : (high / low) ** ROOM;
    return [low / factor, high * factor];
  }
  const room = low === high ? Math.abs(low) * ROOM || 1 : (high - low) * ROOM;
  return [anchored && low >= 0 ? low : low - room, anchored && high <= 0 ? high : high + room];
}

/**
 * Where ticks stand: the given ones that lie on the axis, or round numbers.
 *
 * On a logarithmic axis round numbers are 1, 2 and 5 times powers of ten, or powers of ten alone where they span much.
 */
export function ticksOf({ type, domain, ticks }, count) {
  const [low, high] = domain;
  if (ticks.length) return ticks.filter((tick) => tick >= low && tick <= high);
  if (type !== "log") return evenTicks(low, high, count);
  const decades = Math.log10(high / low);
  const found = logTicks(low, high, decades > 2 * Math.max(1, count / 3) ? [1] : [1, 2, 5]);
  return found.length >= 2 ? found : evenTicks(low, high, count);
}

function logTicks(low, high, steps) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    found.push(...steps.map((step) => Number(`${step}e${power}`)));
  }
  return found.filter((tick) => tick >= low && tick <= high);
}

/** Ticks whose labels do not touch: the first, then each that is far enough from the one before. */
export function apart(ticks, place, room) {
  const kept = [];
  let last = -Infinity;
  for (const tick of [...ticks].sort((one, other) => place(one) - place(other))) {
    if (place(tick) - last >= room(tick)) {
      kept.push(tick);
      last = place(tick);
    }
  }
  return kept;
}

/** Rows that can stand on both axes. */
export function standing(rows, layer, scene) {
  return rows.filter((row) => stands(row[layer.x], scene.x) && stands(row[layer.y], scene.y));
}

/** Whether a value lies on an axis. */
export function stands(value, { type, domain }) {
  if (value === null || value === undefined) return false;
  if (type === "band" || type === "point") return domain.includes(value);
  return typeof value === "number" && !(type === "log" && value <= 0) && value >= domain[0] && value <= domain[1];
}
