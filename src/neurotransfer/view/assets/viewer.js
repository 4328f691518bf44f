// The page of the scans of a run: what is chosen stands in the address, so that it can be gone back to and kept.

import { chosen, firstState, hashOf, keysOf, stateOf } from "./choice.js";
import { asked, element, part } from "./dom.js";
import { openChoices, readChoices, showCards, showChoices } from "./grid.js";
import { Marks, save, tableOf } from "./marks.js";
import { One } from "./one.js";

const TYPING_MS = 250;

class Viewer {
  constructor(list) {
    this.list = list;
    this.keys = keysOf(list);
    this.first = firstState(list);
    this.state = stateOf(location.hash, this.first);
    this.marks = new Marks(location.pathname);
    this.values = { name: null, numbers: [] };
    this.shown = [];
    this.one = new One(list);
    this.typing = 0;
  }

  open() {
    document.title = part("title").textContent = this.list.title;
    part("summary").textContent = summaryOf(this.list);
    part("notes").replaceChildren(...this.list.notes.map((text) => element("li", { textContent: text })));
    part("notes").hidden = !this.list.notes.length;
    openChoices(this.list);
    this.#listen();
    return this.show();
  }

  /** Shows what the state says. */
  async show() {
    const { list, state } = this;
    const values = await this.#valuesOf(state);
    // what was chosen meanwhile is shown by whoever chose it
    if (state !== this.state) return;
    this.values = values;
    this.shown = chosen(list, this.values.numbers, state, (index) => this.marks.has(this.keys[index]));
    const index = this.keys.indexOf(state.scan);
    showChoices(state);
    part("browse").hidden = index >= 0;
    part("one").hidden = index < 0;
    this.#showMarks();
    if (index >= 0) {
      letGoOfPictures();
      return this.#showOne(index);
    }
    this.one.close();
    state.page = showCards({
      ...this, values: this.values.numbers, addressOf: (each) => `#${hashOf({ ...state, scan: this.keys[each] }, this.first)}`,
    });
    return undefined;
  }

  /** The numbers that a state is about. */
  async #valuesOf(state) {
    const place = this.list.numbers.findIndex(({ name }) => name === state.number);
    if (place < 0 && this.list.numbers.length) state.number = this.first.number;
    const { number } = state;
    if (this.values.name === number) return this.values;
    const at = this.list.numbers.findIndex(({ name }) => name === number);
    const numbers = at < 0 ? [] : await asked(`numbers/${at}.json`);
    return { name: number, numbers };
  }

  async #showOne(index) {
    const place = this.shown.indexOf(index);
    part("one-place").textContent = place < 0 ? "not among those that are chosen" : `${place + 1} of ${this.shown.length}`;
    part("before").disabled = place <= 0;
    part("after").disabled = place < 0 || place >= this.shown.length - 1;
    part("exclude").checked = this.marks.has(this.keys[index]);
    if (part("reason") !== document.activeElement) part("reason").value = this.marks.reason(this.keys[index]);
    await this.one.show(index);
  }

  /** Goes to another state, which the browser's way back leads away from. */
  go(change) {
    this.state = { ...this.state, ...change };
    const hash = hashOf(this.state, this.first);
    if (hash === location.hash.replace(/^#/, "")) return this.show();
    location.hash = hash;
    return undefined;
  }

  /** Changes the state in place: while somebody types, every letter is no place to go back to. */
  change(change) {
    this.state = { ...this.state, ...change };
    history.replaceState(null, "", `#${hashOf(this.state, this.first)}`);
    return this.show();
  }

  step(by) {
    const place = this.shown.indexOf(this.keys.indexOf(this.state.scan));
    const next = this.shown[place + by];
    if (place >= 0 && next !== undefined) this.go({ scan: this.keys[next] });
  }

  /** From one scan to the page of all on which it stands. */
  async back() {
    const last = this.state.scan;
    this.go({ scan: "" });
    await this.show();
    const link = [...part("cards").querySelectorAll("a")].find((each) => stateOf(new URL(each.href).hash, this.first).scan === last);
    (link ?? part("main")).focus();
  }

  mark() {
    const key = this.state.scan;
    if (part("exclude").checked) this.marks.set(key, part("reason").value.trim());
    else this.marks.remove(key);
    this.#showMarks();
  }

  #showMarks() {
    const n = this.marks.size;
    part("marked").hidden = !n;
    part("marked-count").textContent = `${n} marked for exclusion${this.marks.unsaved ? ", not saved" : ""}.`;
  }

  #listen() {
    const form = part("choices");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      clearTimeout(this.typing);
      const isTyped = ["search", "number"].includes(event.target.type);
      this.typing = setTimeout(() => this.change({ ...readChoices(), page: 1 }), isTyped ? TYPING_MS : 0);
    });
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.change({ ...this.first, scan: this.state.scan });
    });
    window.addEventListener("hashchange", () => {
      this.state = stateOf(location.hash, this.first);
      this.show();
    });
    const clicks = {
      "page-before": () => this.#turn(-1), "page-after": () => this.#turn(1), back: () => this.back(), before: () => this.step(-1),
      after: () => this.step(1), save: () => this.#save(), clear: () => this.#clear(),
    };
    for (const [name, act] of Object.entries(clicks)) part(name).addEventListener("click", act);
    part("mark").addEventListener("submit", (event) => event.preventDefault());
    part("exclude").addEventListener("change", () => this.mark());
    part("reason").addEventListener("input", () => {
      part("exclude").checked = true;
      this.mark();
    });
    document.addEventListener("keydown", (event) => this.#key(event));
    window.addEventListener("beforeunload", (event) => {
      if (this.marks.unsaved) event.preventDefault();
    });
  }

  #turn(by) {
    this.go({ page: this.state.page + by });
    part("cards").scrollIntoView({ block: "start" });
  }

  #save() {
    save(tableOf(this.marks, this.keys, this.list), "excluded.tsv");
    this.marks.unsaved = false;
    this.#showMarks();
  }

  #clear() {
    if (this.marks.unsaved && !window.confirm("Remove all marks? They have not been saved.")) return;
    this.marks.clear();
    this.show();
  }

  #key(event) {
    if (!this.state.scan || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.key === "Escape") this.back();
    else if (isOwnKey(event.target)) return;
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
  }
}

/** Pictures that are still on their way: a browser would fetch them before the scan. Cards are made anew later. */
function letGoOfPictures() {
  for (const picture of part("cards").querySelectorAll("img")) if (!picture.complete) picture.removeAttribute("src");
}

/** Whether arrows have a meaning of their own where they were pressed. */
function isOwnKey(target) {
  return ["INPUT", "SELECT", "TEXTAREA", "CANVAS"].includes(target.tagName) && target.type !== "checkbox";
}

function summaryOf(list) {
  const people = new Set(list.participant_id).size;
  const flagged = list.flags.filter((flags) => flags.length).length;
  const parts = [`${list.n} scan${list.n === 1 ? "" : "s"} of ${people} ${people === 1 ? "person" : "people"}`];
  if (flagged) parts.push(`${flagged} with flags`);
  return `${parts.join(", ")}.`;
}

part("skip").addEventListener("click", (event) => {
  event.preventDefault();
  part("main").focus();
});
try {
  await new Viewer(await asked("scans.json")).open();
  document.documentElement.dataset.ready = "yes";
} catch (error) {
  part("summary").textContent = "";
  part("trouble").textContent = error.message;
  part("trouble").hidden = false;
}
