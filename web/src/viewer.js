// What is needed of NiiVue, as the global `niivue` of `assets/niivue.js`.

export { DRAG_MODE, NVImage, Niivue, SHOW_RENDER, SLICE_TYPE } from "@niivue/niivue";
