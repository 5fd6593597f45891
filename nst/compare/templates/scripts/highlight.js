/** A run under the pointer lights up in the pictures, the table and the curves. */
import { all, around, byId } from "nst/dom";

/** The run of each curve. @type {() => (string | undefined)[]} */
let curves = () => [];

/** @param {() => (string | undefined)[]} keys of the runs of the curves, in order */
export function listenHighlight(keys) {
  curves = keys;
  for (const [name, on] of /** @type {const} */ ([["pointerover", true], ["pointerout", false], ["focusin", true], ["focusout", false]])) {
    document.addEventListener(name, (event) => {
      const run = around(event, "[data-run]")?.dataset.run;
      if (run) light(on ? run : undefined);
    });
  }
}

/** Lights up a run; none: ends it. @param {string} [key] */
export function light(key) {
  for (const each of all("[data-run]")) each.classList.toggle("lit", each.dataset.run === key);
  const keys = curves();
  byId("plot").querySelectorAll(".scatterlayer .trace").forEach((line, index) => {
    if (line instanceof SVGElement) line.style.opacity = key && keys[index] !== key ? "0.15" : "1";
  });
}
