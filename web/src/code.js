// A button that copies a command.

import { element } from "./dom.js";

/** Gives every block of code a button that copies it. */
export function openCodes() {
  for (const block of document.querySelectorAll(".code")) {
    const status = element("span", { role: "status", class: "said" });
    const button = element("button", { type: "button", onclick: () => copy(block, status) }, "Copy");
    block.append(element("div", { class: "buttons" }, button, status));
  }
}

async function copy(block, status) {
  const code = block.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    status.textContent = "Copied.";
  } catch {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    status.textContent = document.execCommand("copy") ? "Copied." : "Selected: copy it with Ctrl+C.";
  }
}
