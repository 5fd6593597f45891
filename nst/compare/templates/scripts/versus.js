/** The numbers of A and B: losses at the slider, measures of the results. */
import { numberOf } from "nst/data";
import { byId, element } from "nst/dom";
import { state } from "nst/state";
import { digits, lossAt, stepOf } from "nst/time";

/** @param {Run} a @param {Run} b */
export function drawVersus(a, b) {
  const losses = Object.keys(a.curves).filter((name) => name.startsWith("loss/") && name in b.curves);
  /** @param {string} name */
  const mark = (name) => ([a, b].some((run) => run.optimised.includes(name)) ? "*" : "");
  const measures = Object.entries(state.data.measures)
    .map(([name, { title, better }]) => ({ name, title: title + mark(name), better, x: numberOf(a, name), y: numberOf(b, name) }))
    .filter(({ name, x, y }) => x !== undefined && y !== undefined && name !== "loss");
  byId("versus").replaceChildren(
    element("thead", {}, element("tr", {}, ...["", "A", "B", "B / A"].map((textContent) => element("th", { scope: "col", textContent })))),
    element("tbody", {},
      ...(losses.length ? [part(`losses at step ${stepOf(a)}`)] : []),
      ...losses.map((name) => row(name.slice(5), lossAt(a, name), lossAt(b, name))),
      ...(measures.length ? [part("measures of the results")] : []),
      ...measures.map(({ title, x, y, better }) => row(title, x, y, better))));
}

/** @param {string} textContent */
const part = (textContent) =>
  element("tr", {}, element("th", { scope: "rowgroup", colSpan: 4, className: "part", textContent }));

/** @param {string} textContent @param {number} [x] of A @param {number} [y] of B @param {string} [better] losses have none: weights may differ */
function row(textContent, x, y, better) {
  const known = x !== undefined && y !== undefined;
  const wins = known && x !== y && better ? ((x < y) === (better === "lower") ? "a" : "b") : "";
  /** @param {string} name @param {number} [value] */
  const cell = (name, value) => element("td", { className: wins === name ? "best" : "", textContent: digits(value) });
  return element("tr", {}, element("th", { scope: "row", textContent }), cell("a", x), cell("b", y),
    element("td", { textContent: known && x && y ? `${digits(y / x)}×` : "–" }));
}
