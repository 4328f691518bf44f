// The scans as cards, one page at a time, and the controls that choose among them.

import { ANY_FLAG, MARKED, NO_FLAG } from "./choice.js";
import { element, options, part, written } from "./dom.js";

export const ON_A_PAGE = 24;
const MOST_BADGES = 3;
const BY_NUMBER = ["worst", "high", "low"];

/** Fills the controls with what there is to choose; those that would choose nothing are left out. */
export function openChoices(list) {
  const form = part("choices");
  const any = [["", [["", "any"]]]];
  for (const name of ["site", "sex"]) {
    const values = [...new Set(list[name])].filter((value) => value).sort(inOrder);
    options(form.elements[name], [...any, ["", values.map((value) => [value, value])]]);
    form.elements[name].closest(".view-field").hidden = values.length < 2;
  }
  options(form.elements.flag, [...any, ...flagsOf(list)]);
  form.elements.age_from.closest(".view-field").hidden = !list.age.some((age) => age !== null);
  const groups = new Map();
  for (const number of list.numbers) groups.set(number.group, [...(groups.get(number.group) ?? []), [number.name, number.label]]);
  options(form.elements.number, groups.size ? [...groups] : [["", [["", "none"]]]]);
  for (const name of ["number", "low"]) form.elements[name].closest(".view-field").hidden = !list.numbers.length;
  for (const option of form.elements.order.options) option.hidden = BY_NUMBER.includes(option.value) && !list.numbers.length;
}

function flagsOf(list) {
  if (!list.flag_kinds.length) return [["", [[MARKED, MARKED]]]];
  const n = (place) => list.flags.filter((flags) => flags.includes(place)).length;
  const kinds = list.flag_kinds.map((kind, place) => [kind, `${kind} (${n(place)})`]);
  return [["", [ANY_FLAG, NO_FLAG, MARKED].map((text) => [text, text])], ["Flags", kinds]];
}

const inOrder = new Intl.Collator("en", { numeric: true }).compare;

/** Sets the controls to a state. */
export function showChoices(state) {
  for (const field of part("choices").elements) if (field.name && field.name in state) field.value = state[field.name] ?? "";
}

/** What the controls say. */
export function readChoices() {
  const state = {};
  for (const field of part("choices").elements) {
    if (!field.name) continue;
    const isNumber = field.type === "number";
    state[field.name] = isNumber ? (field.value === "" ? null : Number(field.value)) : field.value;
  }
  return state;
}

/** Shows a page of the chosen scans as cards. */
export function showCards({ list, keys, shown, values, state, marks, addressOf }) {
  const pages = Math.max(1, Math.ceil(shown.length / ON_A_PAGE));
  const page = Math.min(state.page, pages);
  const now = shown.slice((page - 1) * ON_A_PAGE, page * ON_A_PAGE);
  const number = list.numbers.find((each) => each.name === state.number);
  part("cards").replaceChildren(...now.map((index) => card({ list, keys, index, number, value: values[index], marks, addressOf })));
  part("count").textContent = countOf(shown.length, list.n, now.length, page);
  part("pages").hidden = pages < 2;
  part("page-place").textContent = `Page ${page} of ${pages}`;
  part("page-before").disabled = page <= 1;
  part("page-after").disabled = page >= pages;
  return page;
}

function countOf(shown, all, now, page) {
  if (!shown) return `None of ${all} scans is like that.`;
  const from = (page - 1) * ON_A_PAGE + 1;
  const some = shown > now ? `, here ${from} to ${from + now - 1}` : "";
  return shown === all ? `${all} scans${some}` : `${shown} of ${all} scans${some}`;
}

function card({ list, keys, index, number, value, marks, addressOf }) {
  const shot = element("span", { className: "view-shot" });
  if (list.has_image[index]) {
    const picture = element("img", { loading: "lazy", decoding: "async", alt: "", width: 680, height: 224 });
    picture.addEventListener("error", () => shot.replaceChildren("no picture can be made"));
    picture.src = `scans/${index}/picture.jpg`;
    shot.append(picture);
  } else {
    shot.append("no image was found");
  }
  const name = element("span", { className: "view-name", textContent: nameOf(list, index) });
  const about = element("span", { className: "view-about" }, name);
  if (number) about.append(element("span", { textContent: written(value), title: number.label, className: "view-value" }));
  const known = knownOf(list, index);
  if (known) about.append(element("span", { className: "quiet", textContent: known }));
  const flags = list.flags[index].map((kind) => list.flag_kinds[kind]);
  const badges = flags.slice(0, MOST_BADGES).map((text) => badge(text));
  if (flags.length > MOST_BADGES) badges.push(badge(`and ${flags.length - MOST_BADGES} more`));
  const reason = marks.reason(keys[index]);
  if (marks.has(keys[index])) badges.unshift(badge(reason ? `excluded: ${reason}` : "excluded", "view-excluded"));
  if (badges.length) about.append(element("span", { className: "view-badges" }, ...badges));
  return element("li", {}, element("a", { className: "view-card", href: addressOf(index) }, shot, about));
}

/** A word or some in a frame. */
export function badge(text, kind = "") {
  return element("span", { className: `view-badge ${kind}`.trim(), textContent: text });
}

/** A scan as it is called. */
export function nameOf(list, index) {
  return [list.participant_id[index], list.session_id[index]].filter((text) => text).join(" ");
}

function knownOf(list, index) {
  const age = list.age[index] === null ? "" : `${written(list.age[index])} years`;
  return [age, list.sex[index], list.site[index]].filter((text) => text).join(" · ");
}
