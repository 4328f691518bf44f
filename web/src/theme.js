// Light or dark: as the system has it, or as the reader sets it; light on paper.

const KEY = "neurotransfer-theme";
const system = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = [];
let printing = false;

/** The theme of what is drawn now. */
export function theme() {
  if (printing) return "light";
  const set = document.documentElement.dataset.theme;
  return set === "light" || set === "dark" ? set : system.matches ? "dark" : "light";
}

/** Calls `listener` whenever the theme may have changed. */
export function onTheme(listener) {
  listeners.push(listener);
}

/** Makes the switch of the page work; what was set is kept by the browser where it may. */
export function openTheme() {
  const select = document.getElementById("theme");
  set(remembered());
  if (select) {
    select.value = document.documentElement.dataset.theme || "system";
    select.addEventListener("change", () => {
      set(select.value);
      remember(select.value);
      tell();
    });
  }
  system.addEventListener("change", tell);
  window.addEventListener("beforeprint", () => turn(true));
  window.addEventListener("afterprint", () => turn(false));
}

function turn(value) {
  printing = value;
  tell();
}

function tell() {
  for (const listener of listeners) listener();
}

function set(value) {
  if (value === "light" || value === "dark") document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
}

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(value) {
  try {
    localStorage.setItem(KEY, value);
  } catch {
    // a browser that keeps nothing shows the system's theme again next time
  }
}
