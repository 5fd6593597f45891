/** The buttons on runs: A, B, pin, and copying. */
import { all, around, byId } from "nst/dom";
import { emit } from "nst/events";
import { putLink } from "nst/link";
import { lay, pairOf } from "nst/pair";
import { view } from "nst/state";

/** Shows which buttons of the pictures are on. */
export function showMarks() {
  const [a, b] = pairOf();
  for (const button of all("figure[data-run] [data-mark]")) {
    const run = button.closest("figure")?.dataset.run ?? "";
    const on = { A: run === a?.key, B: run === b?.key, pin: view.pins.includes(run) };
    button.setAttribute("aria-pressed", String(on[/** @type {keyof typeof on} */ (button.dataset.mark)]));
  }
}

/** @param {string} key */
export function togglePin(key) {
  view.pins = view.pins.includes(key) ? view.pins.filter((each) => each !== key) : [...view.pins, key];
  emit("refresh");
}

/** @param {HTMLElement} button @param {string} text */
async function copy(button, text) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    prompt("Copy it from here:", text); // the browser may not let a page from disk do it
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}

export function listenMarks() {
  const link = byId("link");
  link.addEventListener("click", () => { putLink(); copy(link, location.href); });
  document.addEventListener("click", (event) => {
    const button = around(event, "button");
    const run = around(event, "[data-run]")?.dataset.run;
    const { copy: text, mark } = button?.dataset ?? {};
    if (button && text) copy(button, text);
    else if (run && mark === "pin") togglePin(run);
    else if (run && mark) lay(mark === "A" ? "a" : "b", run);
  });
}
