// One scan: its volume with overlays, what is known of it, and whether it is marked.

import { asked, bytes, element, facts, options, part } from "./dom.js";
import { badge, nameOf } from "./grid.js";
import { Scene, hasWebGL, loadLibrary } from "./scene.js";

const MASK = "mask";
const NO_WEBGL = "This browser has no WebGL 2, so that the scan cannot be stepped through: here are three slices of it.";
const NO_LIBRARY = "What draws volumes is not installed: here are three slices of the scan.";

/** What shows one scan after the other. */
export class One {
  constructor(list) {
    this.list = list;
    this.scene = null;
    this.opening = null;
    this.index = null;
    this.files = [];
    this.wanted = null;
    this.abort = new AbortController();
    this.laying = new AbortController();
    part("overlay").addEventListener("change", () => {
      this.wanted = part("overlay").selectedOptions[0]?.textContent ?? null;
      this.#overlay();
    });
    part("opacity").addEventListener("input", () => this.scene?.opacity(share("opacity")));
    part("threshold").addEventListener("input", () => this.scene?.threshold(share("threshold")));
    for (const name of ["black", "white"]) {
      part(name).addEventListener("input", () => this.scene?.window(Number(part("black").value), Number(part("white").value)));
    }
    part("planes").addEventListener("change", () => this.scene?.planes(part("planes").value));
    part("reset").addEventListener("click", () => this.#reset());
  }

  /** Shows a scan; what was still on its way for another one is let go. */
  async show(index) {
    if (index === this.index) return;
    this.index = index;
    this.#letGo();
    this.abort = new AbortController();
    const { signal } = this.abort;
    part("one-title").textContent = nameOf(this.list, index);
    part("canvas").setAttribute("aria-label", `${nameOf(this.list, index)} in three planes`);
    part("where").textContent = "";
    Object.assign(part("one").dataset, { ready: "", overlay: "" });
    this.#say("Loading the scan.");
    try {
      await this.#facts(index, signal);
      await this.#volume(index, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.laying.abort();
      this.scene?.clear();
      this.#say(error.message);
    }
    if (signal.aborted) return;
    part("one").dataset.ready = String(index);
  }

  /** Shows no scan any more. */
  close() {
    this.index = null;
    this.#letGo();
    part("one").dataset.ready = "";
  }

  /** Lets go of what is still on its way. */
  #letGo() {
    this.abort.abort();
    this.laying.abort();
  }

  async #facts(index, signal) {
    const known = await asked(`scans/${index}.json`, signal);
    this.files = known.files;
    part("one-flags").replaceChildren(...known.flags.map((text) => element("li", {}, badge(text))));
    part("one-flags").hidden = !known.flags.length;
    facts(part("said"), known.said);
    part("said-title").hidden = !known.said.length;
    facts(part("row"), known.row);
    const overlays = known.files.filter(({ role }) => role !== "scan").map(({ role, label }) => [role, label]);
    options(part("overlay"), [["", [["", "none"], ...overlays]]]);
    const chosen = overlays.find(([, label]) => label === this.wanted);
    part("overlay").value = chosen ? chosen[0] : "";
    part("overlay").disabled = !overlays.length;
  }

  async #volume(index, signal) {
    if (!this.files.some(({ role }) => role === "scan")) {
      hideStage(true);
      throw new Error("No image of this scan was found.");
    }
    const problem = await this.#open();
    hideStage(Boolean(problem));
    part("still").hidden = !problem;
    if (problem) {
      part("still").src = `scans/${index}/picture.jpg`;
      part("still").alt = `Three slices of ${nameOf(this.list, index)}`;
      throw new Error(problem);
    }
    const buffer = await bytes(`scans/${index}/scan.nii.gz`, signal);
    await this.scene.show(buffer, "scan.nii.gz", signal);
    this.#window();
    this.#say("");
    await this.#overlay();
  }

  /** Makes ready to draw, once; what there is to say where that cannot be. */
  #open() {
    this.opening ??= this.#opened().catch((error) => {
      this.opening = null;
      throw error;
    });
    return this.opening;
  }

  async #opened() {
    if (!hasWebGL()) return NO_WEBGL;
    const library = await loadLibrary();
    if (!library) return NO_LIBRARY;
    part("place").hidden = false;
    const scene = new Scene(part("canvas"), library, (place) => this.#where(place));
    await scene.open();
    this.scene = scene;
    return "";
  }

  /** Shows the overlay that is chosen; one that was chosen before and is still on its way is let go. */
  async #overlay() {
    this.laying.abort();
    if (!this.scene?.hasScan) return;
    this.laying = new AbortController();
    const { signal } = this.laying;
    const role = part("overlay").value;
    const isMask = role === MASK;
    part("threshold-field").hidden = !role || isMask;
    part("opacity").disabled = !role;
    part("one").dataset.overlay = "";
    try {
      if (role) {
        const name = `${role}.nii.gz`;
        const buffer = await bytes(`scans/${this.index}/${name}`, signal);
        await this.scene.overlay({ buffer, name, isMask, opacity: share("opacity"), threshold: share("threshold") }, signal);
      } else {
        this.scene.bare();
      }
      part("one").dataset.overlay = role || "none";
      this.#say("");
    } catch (error) {
      if (signal.aborted) return;
      this.scene.bare();
      this.#say(error.message);
    }
  }

  #window() {
    const { black, white } = this.scene.firstWindow;
    part("black").value = black;
    part("white").value = white;
  }

  #reset() {
    if (!this.scene?.hasScan) return;
    this.scene.reset();
    this.#window();
    this.scene.window(Number(part("black").value), Number(part("white").value));
    part("planes").value = "3";
    this.scene.planes(3);
  }

  #where(place) {
    const axes = ["x", "y", "z"].map((axis, index) => `${axis} ${place.mm[index].toFixed(1)}`).join(", ");
    const labels = ["scan", part("overlay").selectedOptions[0]?.textContent ?? "overlay"];
    const values = place.values.map(({ value }, index) => `${labels[index]} ${Number(value.toPrecision(4))}`);
    part("where").textContent = [`${axes} mm`, ...values].join(" · ");
  }

  #say(text) {
    part("status").textContent = text;
  }
}

function hideStage(hidden) {
  for (const name of ["place", "tools", "where", "keys"]) part(name).hidden = hidden;
  part("still").hidden = true;
}

function share(name) {
  return Number(part(name).value) / 100;
}
