// Which scans are shown and in which order, and how that is written into the address. No page is touched here.

export const MARKED = "marked for exclusion";
export const ANY_FLAG = "any flag";
export const NO_FLAG = "no flag";
const TEXTS = ["text", "site", "sex", "flag", "number", "order", "scan"];
const NUMBERS = ["age_from", "age_to", "low", "high"];

/** The state that an address describes; what it does not say is as it is at first. */
export function stateOf(hash, first) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const state = { ...first };
  for (const name of TEXTS) if (said.has(name)) state[name] = said.get(name);
  for (const name of NUMBERS) {
    const value = said.get(name);
    if (value !== null && value.trim() !== "" && Number.isFinite(Number(value))) state[name] = Number(value);
  }
  const page = Number(said.get("page"));
  if (Number.isInteger(page) && page > 1) state.page = page;
  return state;
}

/** The part of an address that describes a state: what is as at first is left out. */
export function hashOf(state, first) {
  const said = new URLSearchParams();
  for (const name of [...TEXTS, ...NUMBERS, "page"]) {
    const value = state[name];
    if (value !== first[name] && value !== "" && value !== null) said.set(name, String(value));
  }
  return said.toString();
}

/** The state of a list that was just opened: the worst first where that is known, else those with flags, else the table's order. */
export function firstState(list) {
  const number = list.numbers[0];
  const order = number?.worse ? "worst" : list.flags.some((flags) => flags.length) ? "flags" : "table";
  return {
    text: "", site: "", sex: "", flag: "", age_from: null, age_to: null, low: null, high: null,
    number: number?.name ?? "", order, page: 1, scan: "",
  };
}

/** A name of every scan that does not depend on where it stands in the list. */
export function keysOf(list) {
  const seen = new Map();
  return list.participant_id.map((participant, index) => {
    const name = list.session_id[index] ? `${participant}/${list.session_id[index]}` : participant;
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times > 1 ? `${name}/${times}` : name;
  });
}

/**
 * The places of the scans that are shown, in order.
 *
 * @param {Object} list what the server lists: a column a property
 * @param {Array<?number>} values of the number that is chosen, a scan each; empty when there is none
 * @param {Object} state what is chosen
 * @param {function(number): boolean} isMarked whether a scan is marked
 */
export function chosen(list, values, state, isMarked) {
  const text = state.text.trim().toLowerCase();
  const flag = list.flag_kinds.indexOf(state.flag);
  const shown = [];
  for (let index = 0; index < list.n; index += 1) {
    const keeps =
      (!state.site || list.site[index] === state.site) &&
      (!state.sex || list.sex[index] === state.sex) &&
      hasFlag(list.flags[index], state.flag, flag, () => isMarked(index)) &&
      within(list.age[index], state.age_from, state.age_to) &&
      within(values[index] ?? null, state.low, state.high) &&
      (!text || textOf(list, index).includes(text));
    if (keeps) shown.push(index);
  }
  return ordered(shown, list, values, state);
}

function hasFlag(flags, wanted, kind, isMarked) {
  if (!wanted) return true;
  if (wanted === ANY_FLAG) return flags.length > 0;
  if (wanted === NO_FLAG) return flags.length === 0;
  if (wanted === MARKED) return isMarked();
  return flags.includes(kind);
}

function within(value, from, to) {
  if (from === null && to === null) return true;
  return value !== null && (from === null || value >= from) && (to === null || value <= to);
}

function textOf(list, index) {
  const flags = list.flags[index].map((kind) => list.flag_kinds[kind]);
  return [list.participant_id[index], list.session_id[index], list.site[index], list.sex[index], ...flags].join(" ").toLowerCase();
}

function ordered(shown, list, values, state) {
  if (state.order === "table") return shown;
  const worse = list.numbers.find((number) => number.name === state.number)?.worse || "high";
  const rises = state.order === "low" || (state.order !== "high" && worse === "low");
  const far = (index) => {
    const value = values[index] ?? null;
    return value === null ? Infinity : rises ? value : -value;
  };
  const flags = (index) => (state.order === "flags" ? -list.flags[index].length : 0);
  return shown.sort((one, other) => flags(one) - flags(other) || compare(far(one), far(other)) || one - other);
}

function compare(one, other) {
  // Infinity less itself is no number
  return one === other ? 0 : one - other;
}
