// Scans that the reader marks for exclusion, with reasons: kept by this tab, saved by the reader, never sent anywhere.

const EMPTY = "n/a";

/** The marks of a page, by the name of a scan. */
export class Marks {
  constructor(place) {
    this.place = `marks ${place}`;
    this.unsaved = false;
    this.reasons = new Map(remembered(this.place));
  }

  has(key) {
    return this.reasons.has(key);
  }

  reason(key) {
    return this.reasons.get(key) ?? "";
  }

  set(key, reason) {
    this.reasons.set(key, reason);
    this.#changed(true);
  }

  remove(key) {
    if (this.reasons.delete(key)) this.#changed(true);
  }

  clear() {
    this.reasons.clear();
    this.#changed(false);
  }

  get size() {
    return this.reasons.size;
  }

  #changed(unsaved) {
    this.unsaved = unsaved && this.size > 0;
    try {
      sessionStorage.setItem(this.place, JSON.stringify([...this.reasons]));
    } catch {
      // a browser that keeps nothing forgets them when the page is loaded again
    }
  }
}

function remembered(place) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(place) ?? "[]");
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

/** Marks as a table: participant_id, session_id and reason, between tabs, in the order of the list. */
export function tableOf(marks, keys, list) {
  const rows = keys
    .map((key, index) => ({ key, index }))
    .filter(({ key }) => marks.has(key))
    .map(({ key, index }) => [list.participant_id[index], list.session_id[index], marks.reason(key)].map(cell).join("\t"));
  return ["participant_id\tsession_id\treason", ...rows, ""].join("\n");
}

function cell(text) {
  return text.replace(/\s+/gu, " ").trim() || EMPTY;
}

/** Lets the browser save a text as a file; the file is made here and asked of no server. */
export function save(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
