// Figures and numbers as files.

import { element, measured } from "./dom.js";
import { chosenRows, csvText, tabledLayers } from "./data.js";
import { standalone } from "./standalone.js";

const FINER = 2;

/** The buttons that save what a figure shows. */
export function saveButtons(figure, state, sceneNow) {
  const white = element("input", { type: "checkbox", checked: true });
  const svgText = () => standalone(sceneNow(), white.checked, measured);
  const button = (text, act) => element("button", { type: "button", onclick: act }, text);
  return element(
    "div",
    { class: "buttons" },
    button("Save as SVG", () => offer(new Blob([svgText().text], { type: "image/svg+xml" }), `${figure.name}.svg`)),
    button("Save as PNG", async () => offer(await asPng(svgText()), `${figure.name}.png`)),
    ...tabledLayers(figure).map((layer, index) => {
      const name = index ? `${figure.name}-${slug(layer.label)}.csv` : `${figure.name}.csv`;
      const text = index ? `Save “${layer.label}” as CSV` : "Save numbers as CSV";
      return button(text, () => offer(new Blob([csvText(layer, chosenRows(layer, state.chosen))], { type: "text/csv" }), name));
    }),
    element("label", { class: "check" }, white, "White background"),
  );
}

function slug(text) {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "layer";
}

function offer(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

async function asPng({ text, width, height }) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = element("canvas", { width: width * FINER, height: height * FINER });
  const context = canvas.getContext("2d");
  context.scale(FINER, FINER);
  context.drawImage(image, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
