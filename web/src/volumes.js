// Heads that can be stepped through: a picture at first, NiiVue once the reader asks for it.

import { element } from "./dom.js";
import { openHead } from "./head.js";

let loaded = null;

/** Gives every head of the page a button that opens the viewer in place of its picture. */
export function openVolumes() {
  for (const place of document.querySelectorAll("[data-volumes]")) {
    const status = element("p", { class: "quiet note", role: "status" });
    const button = element("button", { type: "button" }, "Step through the slices");
    button.addEventListener("click", () => open(place, button, status));
    place.querySelector(".live").replaceChildren(element("div", { class: "buttons" }, button), status);
  }
}

async function open(place, button, status) {
  if (!document.createElement("canvas").getContext("webgl2")) {
    button.remove();
    status.textContent = "This browser has no WebGL 2, which the viewer needs; the picture shows the slices that there are.";
    return;
  }
  button.disabled = true;
  status.textContent = "Opening …";
  try {
    const viewer = await openHead(place, volumesOf(place), library());
    place.classList.add("opened");
    button.parentElement.replaceWith(viewer);
    status.textContent = "";
    viewer.querySelector("select, input")?.focus();
  } catch (error) {
    button.disabled = false;
    status.textContent = `The viewer could not be opened (${error.message}); the picture shows the slices that there are.`;
  }
}

/** NiiVue, run when it is first needed: its code lies in the page as text. */
function library() {
  if (!loaded) {
    const script = document.createElement("script");
    script.textContent = document.getElementById("niivue").textContent;
    document.head.append(script);
    loaded = window.niivue;
  }
  return loaded;
}

function volumesOf(place) {
  return [...place.querySelectorAll("[data-volume]")].map(({ dataset, textContent }) => ({
    base64: textContent,
    label: dataset.label,
    low: Number(dataset.low),
    high: Number(dataset.high),
    colours: dataset.colours,
    negative: dataset.negative,
  }));
}
