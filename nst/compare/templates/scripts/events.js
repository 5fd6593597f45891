/** Events between modules: none has to import the modules that react to it. */

/**
 * refresh: everything is to be drawn again. pair: A or B is another run. moved: the slider moves.
 * rested: it has not moved for a moment.
 * @typedef {"refresh" | "pair" | "moved" | "rested"} Name
 */
const events = new EventTarget();

/** @param {Name} name @param {() => void} react */
export const on = (name, react) => events.addEventListener(name, react);

/** @param {Name} name */
export function emit(name) {
  events.dispatchEvent(new Event(name));
}
