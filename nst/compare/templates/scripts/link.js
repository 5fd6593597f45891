/** The link that restores the view: the part of the address after #. Only what differs from the start is in it. */
import { START, state, view } from "nst/state";

let known = ""; // that part, as last read or written here
let timer = 0;

export function readLink() {
  known = location.hash;
  /** @type {Record<string, unknown>} */
  const found = {};
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    if (!(name in START)) continue;
    const value = parsed(START[/** @type {keyof View} */ (name)], text);
    if (!Number.isNaN(value)) found[name] = value;
  }
  Object.assign(view, START, state.data.view, found);
  if (view.by !== "seconds") view.by = START.by;
}

/** A text as a value of the same type as another one. @param {View[keyof View]} like @param {string} text */
function parsed(like, text) {
  if (Array.isArray(like)) return text.split("~");
  if (typeof like === "boolean") return text === "true";
  return typeof like === "number" ? Number(text) : text;
}

/** Puts the link into the address, soon. */
export function writeLink() {
  clearTimeout(timer);
  // the address may have been changed meanwhile, and not yet been read
  timer = setTimeout(() => { if (location.hash === known) putLink(); }, 200);
}

export function putLink() {
  if (state.data.view) return; // embedded in another page, which has the address
  history.replaceState(null, "", link());
  known = location.hash;
}

export function link() {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) {
    const [text, start] = [value, START[/** @type {keyof View} */ (name)]].map(
      (each) => (Array.isArray(each) ? each.join("~") : String(each)));
    if (text !== start) words.set(name, text);
  }
  return `#${words}`;
}
