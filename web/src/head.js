// A head in NiiVue with controls that the keyboard reaches: overlay, strength, view, and the place in millimetres.

import { element } from "./dom.js";
import { numberText } from "./text.js";

const AXES = [
  ["x", "Left to right"],
  ["y", "Back to front"],
  ["z", "Bottom to top"],
];
const VIEWS = { MULTIPLANAR: "three planes", SAGITTAL: "from the side", CORONAL: "from the front", AXIAL: "from above", RENDER: "whole head" };
const FULL = 100;

/**
 * Opens a head.
 *
 * @param {HTMLElement} place that it belongs to
 * @param {Array<Object>} volumes `{base64, label, low, high, colours, negative}`, the head first
 * @param {Object} library `{Niivue, NVImage, SLICE_TYPE, SHOW_RENDER}`
 * @returns {Promise<HTMLElement>} the controls and the drawing
 */
export async function openHead(place, volumes, library) {
  const canvas = element("canvas", { role: "img", "aria-label": place.querySelector("h3").textContent });
  const stage = element("div", { class: "stage" }, canvas);
  const viewer = element("div", { class: "viewer" });
  const told = element("p", { class: "quiet place", role: "status" });
  place.querySelector(".live").prepend(stage);
  const head = new library.Niivue({
    logLevel: "error",
    dragAndDropEnabled: false,
    scrollRequiresFocus: true,
    multiplanarShowRender: library.SHOW_RENDER.NEVER,
    crosshairWidth: 0.7,
    crosshairWidthUnit: "mm",
    crosshairColor: [0.35, 0.75, 1, 0.9],
    isColorbar: false,
    loadingText: "",
  });
  try {
    await head.attachToCanvas(canvas);
    for (const volume of volumes) head.addVolume(await imageOf(volume, library));
  } catch (error) {
    stage.remove();
    throw error;
  }
  const overlays = volumes.slice(1);
  const controls = element("div", { class: "controls" }, ...overlayControls(head, overlays), viewControl(head, library));
  const sliders = placeControls(head);
  head.onLocationChange = (where) => tell(where, volumes, sliders, told);
  viewer.append(controls, stage, element("div", { class: "controls" }, ...sliders.map((slider) => slider.label)), told);
  showOverlay(head, 0, FULL);
  head.createOnLocationChange();
  return viewer;
}

function imageOf({ base64, label, low, high, colours, negative }, { NVImage }) {
  const range = { cal_min: low, cal_max: high, ...(negative && { cal_minNeg: -low, cal_maxNeg: -high }) };
  return NVImage.loadFromBase64({ base64, name: `${label}.nii.gz`, colormap: colours, colormapNegative: negative, ...range });
}

/** Shows one overlay, or none for -1. */
function showOverlay(head, chosen, strength) {
  head.volumes.slice(1).forEach((_, index) => head.setOpacity(index + 1, index === chosen ? strength / FULL : 0));
}

function overlayControls(head, overlays) {
  if (!overlays.length) return [];
  const options = overlays.map(({ label }, index) => element("option", { value: index }, label));
  const select = element("select", {}, ...options, element("option", { value: -1 }, "none"));
  const strength = element("input", { type: "range", min: 0, max: FULL, value: FULL });
  const show = () => {
    showOverlay(head, Number(select.value), Number(strength.value));
    head.createOnLocationChange();
  };
  select.addEventListener("change", show);
  strength.addEventListener("input", show);
  return [labelled("Overlay", select), labelled("Strength of the overlay", strength)];
}

function viewControl(head, { SLICE_TYPE }) {
  const options = Object.entries(VIEWS).map(([name, text]) => element("option", { value: SLICE_TYPE[name] }, text));
  const select = element("select", {}, ...options);
  select.addEventListener("change", () => head.setSliceType(Number(select.value)));
  return labelled("View", select);
}

/** A slider an axis, in millimetres. */
function placeControls(head) {
  const base = head.volumes[0];
  const [low, high] = [base.extentsMinOrtho, base.extentsMaxOrtho];
  const sliders = AXES.map(([axis, text], index) => {
    const range = { min: Math.ceil(low[index]), max: Math.floor(high[index]), step: 1 };
    const input = element("input", { type: "range", "data-place": axis, ...range });
    return { input, label: labelled(`${text} (${axis}, mm)`, input) };
  });
  for (const { input } of sliders) {
    input.addEventListener("input", () => {
      head.scene.crosshairPos = head.mm2frac(sliders.map((slider) => Number(slider.input.value)));
      head.drawScene();
      head.createOnLocationChange();
    });
  }
  return sliders;
}

function tell({ mm, values }, volumes, sliders, told) {
  sliders.forEach(({ input }, index) => {
    if (document.activeElement !== input) input.value = Math.round(mm[index]);
  });
  const place = AXES.map(([axis], index) => `${axis} ${numberText(Math.round(mm[index]))}`).join(", ");
  const read = values.map(({ value }, index) => `${volumes[index].label} ${numberText(value, 3)}`).join("; ");
  told.textContent = `${place} mm. ${read}.`;
}

function labelled(text, control) {
  return element("label", { class: "list" }, element("span", {}, text), control);
}
