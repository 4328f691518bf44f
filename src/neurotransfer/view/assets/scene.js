// A scan in three planes with an overlay, drawn by NiiVue where the browser has WebGL 2.

const STEPS = 1000;
const MASK_FROM = 0.5;
// of the absolute values of a map: few voxels may be far beyond all others
const LARGEST_SHARE = 0.999;
const MOVES = {
  ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowDown: [0, -1, 0], ArrowUp: [0, 1, 0], PageDown: [0, 0, -1], PageUp: [0, 0, 1],
};

/** Whether this browser can draw volumes. */
export function hasWebGL() {
  return Boolean(document.createElement("canvas").getContext("webgl2"));
}

let library = null;

/** NiiVue, fetched when the first scan is opened; null when it is not there. */
export function loadLibrary() {
  library ??= new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = "niivue.js";
    script.addEventListener("load", () => resolve(globalThis.niivue ?? null));
    script.addEventListener("error", () => resolve(null));
    document.head.append(script);
  });
  return library;
}

/** What is drawn on one canvas. */
export class Scene {
  constructor(canvas, { Niivue, NVImage }, onPlace) {
    this.canvas = canvas;
    this.NVImage = NVImage;
    this.nv = new Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.35, 0.75, 1, 0.9],
      crosshairWidth: 1,
      crosshairWidthUnit: "mm",
      dragAndDropEnabled: false,
      isRadiologicalConvention: false,
      loadingText: "",
      logLevel: "error",
      multiplanarShowRender: 0,
      scrollRequiresFocus: true,
    });
    this.nv.onLocationChange = (place) => onPlace(place);
    this.map = null;
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  async open() {
    await this.nv.attachToCanvas(this.canvas);
    this.nv.setSliceType(this.nv.sliceTypeMultiplanar);
  }

  /** Shows another scan, without overlay; throws when the signal says that it is wanted no more. */
  async show(buffer, name, signal) {
    const volume = await this.NVImage.new(buffer, name, "gray");
    signal.throwIfAborted();
    this.clear();
    this.nv.addVolume(volume);
    this.nv.scene.crosshairPos = [0.5, 0.5, 0.5];
    this.nv.createOnLocationChange();
    this.range = { low: volume.global_min, high: volume.global_max };
    this.first = { black: volume.cal_min, white: volume.cal_max };
  }

  get hasScan() {
    return this.nv.volumes.length > 0;
  }

  /** Takes everything away. */
  clear() {
    while (this.nv.volumes.length) this.nv.removeVolumeByIndex(this.nv.volumes.length - 1);
    this.map = null;
  }

  /** Takes away what lies over the scan. */
  bare() {
    while (this.nv.volumes.length > 1) this.nv.removeVolumeByIndex(1);
    this.map = null;
    this.#drawn();
  }

  /** Lays a mask or a map over the scan in place of what lay there; throws when the signal says that it is wanted no more. */
  async overlay(found, signal) {
    const volume = await this.NVImage.new(found.buffer, found.name, found.isMask ? "red" : "warm", found.opacity);
    signal.throwIfAborted();
    this.bare();
    const largest = found.isMask ? 1 : largestOf(volume.img, volume.hdr);
    this.map = { volume, isMask: found.isMask, largest, signed: volume.global_min < 0 };
    if (found.isMask) {
      Object.assign(volume, { cal_min: MASK_FROM, cal_max: 1 });
    } else if (this.map.signed) {
      volume.colormapNegative = "winter";
    }
    // 2: colours from zero on, nothing below the threshold; with 1 what exceeds it far would hide the scan
    volume.colormapType = found.isMask ? 0 : 2;
    this.nv.addVolume(volume);
    this.opacity(found.opacity);
    this.threshold(found.threshold);
  }

  /** Shows an overlay from a share of its largest value on. */
  threshold(share) {
    if (!this.map) return;
    const { volume, isMask, largest, signed } = this.map;
    if (!isMask) {
      // a map that is shown from zero on would hide the scan where it says nothing
      const from = Math.max(share, 0.001) * largest;
      Object.assign(volume, { cal_min: from, cal_max: largest });
      if (signed) Object.assign(volume, { cal_minNeg: -largest, cal_maxNeg: -from });
    }
    this.#drawn();
  }

  opacity(share) {
    if (this.map) this.nv.setOpacity(1, share);
  }

  /** Shows values at `black` as black and at `white` as white, both in steps of a thousandth of the range. */
  window(black, white) {
    if (!this.hasScan) return;
    const { low, high } = this.range;
    const volume = this.nv.volumes[0];
    volume.cal_min = low + (Math.min(black, white - 1) / STEPS) * (high - low);
    volume.cal_max = low + (white / STEPS) * (high - low);
    this.nv.updateGLVolume();
  }

  /** The steps at which black and white were at first. */
  get firstWindow() {
    const { low, high } = this.range;
    const step = (value) => Math.round(((value - low) / (high - low || 1)) * STEPS);
    return { black: step(this.first.black), white: step(this.first.white) };
  }

  planes(type) {
    this.nv.setSliceType(Number(type));
  }

  /** The middle of the scan, and no zoom. */
  reset() {
    this.nv.scene.crosshairPos = [0.5, 0.5, 0.5];
    this.nv.setPan2Dxyzmm([0, 0, 0, 1]);
    this.nv.createOnLocationChange();
    this.nv.drawScene();
  }

  #drawn() {
    this.nv.updateGLVolume();
    this.nv.createOnLocationChange();
  }

  #key(event) {
    const move = MOVES[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.nv.moveCrosshairInVox(...move);
  }
}

function largestOf(values, { scl_slope: slope, scl_inter: inter }) {
  const sizes = Float32Array.from(values, (value) => Math.abs(value * (slope || 1) + (inter || 0)));
  const some = sizes.filter((value) => value > 0 && Number.isFinite(value)).sort();
  return some.length ? some[Math.min(some.length - 1, Math.floor(some.length * LARGEST_SHARE))] : 1;
}
