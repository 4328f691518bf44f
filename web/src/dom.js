// Elements in one line.

/**
 * An element with attributes and children.
 *
 * @param {string} name
 * @param {Object} attributes `on…` are listeners; false, null and undefined are left out
 * @param {...(Node|string)} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

let context = null;

/** The width of a text in pixels, in the font of the figures. */
export function measured(text) {
  if (!context) {
    context = document.createElement("canvas").getContext("2d");
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  }
  return context.measureText(text).width;
}
