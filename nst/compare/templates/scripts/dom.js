/** Short forms for finding and making elements. */

/**
 * The element with an id, of a class.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [type]
 * @returns {T}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (!found || (type && !(found instanceof type))) throw new Error(`no ${type?.name ?? "element"} #${id}`);
  return /** @type {T} */ (found);
}

/** @param {string} selector @returns {HTMLElement[]} */
export const all = (selector) => [...document.querySelectorAll(selector)].filter((each) => each instanceof HTMLElement);

/** The radio buttons of a choice. @param {string} name */
export const radios = (name) => all(`[name=${name}]`).filter((each) => each instanceof HTMLInputElement);

/** The nearest element around an event that matches. @param {Event} event @param {string} selector */
export function around(event, selector) {
  const found = event.target instanceof Element ? event.target.closest(selector) : null;
  return found instanceof HTMLElement ? found : null;
}

/**
 * A new element. Properties are set as such; those with a hyphen, `role` and `scope` as attributes.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Partial<HTMLElementTagNameMap[K]> & Record<string, unknown>} properties
 * @param {(Node | string | null | undefined)[]} children
 */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role" || key === "scope") made.setAttribute(key, String(value));
    else Object.assign(made, { [key]: value });
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** @param {[value: string, text: string][]} choices */
export const options = (choices) => choices.map(([value, textContent]) => element("option", { value, textContent }));

/** A button that copies a text. @param {string} text @param {string} title */
export const copyButton = (text, title) =>
  element("button", { type: "button", className: "copy", textContent: title, "data-copy": text });

/** Where in a box an event is, as fractions. @param {Element} box @param {MouseEvent} event @returns {[number, number]} */
export function within(box, event) {
  const { left, top, width, height } = box.getBoundingClientRect();
  return [(event.clientX - left) / width, (event.clientY - top) / height];
}

/** A colour of the style sheet. @param {string} name */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
