// One figure on the page: its state, and everything that follows from it.

import { agreeControls, showControls } from "./controls.js";
import { draw } from "./draw.js";
import { element, measured } from "./dom.js";
import { keysOf } from "./keys.js";
import { showLegend } from "./legend.js";
import { numbersOf } from "./numbers.js";
import { openPointer } from "./pointer.js";
import { saveButtons } from "./save.js";
import { openingState, sceneOf } from "./scene.js";
import { numberText } from "./text.js";
import { onTheme, theme } from "./theme.js";

const LEAST_WIDTH = 240;
const MOST_WIDTH = 860;
const AHEAD = "600px";

/** Makes every figure of the page, each when it comes near the window, and all before the page is printed. */
export function openFigures() {
  const figures = [...document.querySelectorAll("[data-figure]")].map((place) => new LiveFigure(place));
  const watcher = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => entry.target.live.open()),
    { rootMargin: AHEAD },
  );
  for (const figure of figures) watcher.observe(figure.place);
  window.addEventListener("beforeprint", () => figures.forEach((figure) => figure.open()));
  onTheme(() => figures.filter((figure) => figure.isOpen).forEach((figure) => figure.update()));
}

class LiveFigure {
  constructor(place) {
    this.place = place;
    this.isOpen = false;
    place.live = this;
  }

  /** Reads the data and makes the controls, once. */
  open() {
    if (this.isOpen) return;
    this.isOpen = true;
    this.place.classList.add("open");
    this.figure = JSON.parse(this.place.querySelector("script").textContent);
    this.state = openingState(this.figure);
    this.build();
    this.update();
    this.width = this.drawing.clientWidth;
    new ResizeObserver(() => this.resized()).observe(this.drawing);
  }

  build() {
    const { figure, place } = this;
    this.controls = element("div", { class: "controls" });
    showControls(this.controls, figure, this.state, () => this.update());
    this.drawing = element("div", { class: "drawing", role: "img", "aria-label": figure.description, tabindex: 0 });
    this.legend = element("div", { class: "legend" });
    this.chosen = element("p", { class: "quiet chosen" });
    this.note = element("p", { class: "quiet note", role: "status" });
    place.querySelector(".live").replaceChildren(this.controls, this.chosen, this.drawing, this.legend, this.note);
    this.numbers = numbersOf(figure, this.state);
    const save = saveButtons(figure, this.state, () => this.scene);
    place.querySelector(".tools").replaceChildren(this.numbers.folded, save);
    openPointer(this);
  }

  /** Draws what the state says. */
  update() {
    this.scene = sceneOf(this.figure, this.state);
    this.chosen.textContent = this.scene.words;
    agreeControls(this.controls, this.scene);
    this.redraw();
    showLegend(this.legend, keysOf(this.scene), theme(), (key) => this.toggle(key));
    this.numbers.refresh();
  }

  redraw() {
    const width = Math.max(LEAST_WIDTH, Math.min(MOST_WIDTH, this.drawing.clientWidth));
    this.drawn = this.scene.empty ? null : draw(this.scene, { width, theme: theme(), measure: measured });
    this.drawing.replaceChildren(...(this.drawn ? [this.drawn.svg] : []));
    this.note.textContent = this.scene.empty ? "There is nothing to draw for this choice." : leftOutText(this.scene.left);
  }

  toggle(key) {
    if (this.state.hidden.has(key)) this.state.hidden.delete(key);
    else this.state.hidden.add(key);
    this.update();
  }

  resized() {
    if (Math.abs(this.drawing.clientWidth - this.width) < 2) return;
    this.width = this.drawing.clientWidth;
    this.redraw();
  }
}

function leftOutText(count) {
  if (!count) return "";
  const [points, lie] = count === 1 ? ["point", "lies"] : ["points", "lie"];
  return `${numberText(count)} ${points} ${lie} beyond these axes and ${count === 1 ? "is" : "are"} not drawn; the numbers have ${count === 1 ? "it" : "them"}.`;
}
