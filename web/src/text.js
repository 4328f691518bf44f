// Numbers and words as they stand on axes, in tables and in tips.

/**
 * A number as it is read: at most `digits` digits that count, thousands apart, a true minus sign.
 *
 * @param {*} value
 * @param {number} digits
 */
export function numberText(value, digits = 4) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return powerText(value, digits);
  const rounded = Number.isInteger(value) ? value : Number(value.toPrecision(digits));
  const [whole, part] = Math.abs(rounded).toString().split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return `${rounded < 0 ? "−" : ""}${grouped}${part ? `.${part}` : ""}`;
}

function powerText(value, digits) {
  const [mantissa, exponent] = value.toExponential(Math.max(0, digits - 1)).split("e");
  const short = String(Number(mantissa)).replace("-", "−");
  return `${short}e${Number(exponent) < 0 ? "−" : ""}${Math.abs(Number(exponent))}`;
}

/**
 * Text in lines that are not wider than `room`.
 *
 * @param {string} text
 * @param {number} room in pixels
 * @param {function(string): number} measure width of a text in pixels
 * @returns {string[]} a word that is wider than the room has a line of its own
 */
export function wrapped(text, room, measure) {
  const lines = [];
  let line = "";
  for (const word of String(text).split(/\s+/)) {
    const longer = line ? `${line} ${word}` : word;
    if (line && measure(longer) > room) {
      lines.push(line);
      line = word;
    } else {
      line = longer;
    }
  }
  return line ? [...lines, line] : lines;
}

/** Text cut to a width, with an ellipsis where something is missing. */
export function shortened(text, room, measure) {
  let kept = String(text);
  if (measure(kept) <= room) return kept;
  while (kept.length > 1 && measure(`${kept}…`) > room) kept = kept.slice(0, -1);
  return `${kept.trimEnd()}…`;
}
