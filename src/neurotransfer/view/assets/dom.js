// Parts of a page made of text: nothing that is shown is ever read as HTML.

export const part = (name) => document.getElementById(name);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A list of options; `groups` is [[heading, [[value, label], ...]], ...], without a heading outside of a group. */
export function options(select, groups) {
  select.replaceChildren(
    ...groups.flatMap(([heading, pairs]) => {
      const made = pairs.map(([value, label]) => element("option", { value, textContent: label }));
      return heading ? [element("optgroup", { label: heading }, ...made)] : made;
    }),
  );
}

/** A list of terms from pairs of texts; without a term the value stands alone. */
export function facts(list, pairs) {
  list.replaceChildren(
    ...pairs.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]),
  );
}

/** A number as it is read: four digits that count. */
export function written(value) {
  return value === null || value === undefined ? "n/a" : String(Number(value.toPrecision(4)));
}

/** What the server says, as JSON; an error with its sentence where it refuses. */
export async function asked(address, signal) {
  return (await answer(address, signal)).json();
}

/** What the server says, as bytes. */
export async function bytes(address, signal) {
  return (await answer(address, signal)).arrayBuffer();
}

async function answer(address, signal) {
  let found;
  try {
    found = await fetch(address, { signal, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The command that shows this page has ended: run it again.");
  }
  if (!found.ok) throw new Error(await found.text());
  return found;
}
