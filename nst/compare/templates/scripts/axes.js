/** The keys of the grid's rows and columns, and the two boxes that choose them. */
import { varying } from "nst/data";
import { byId, options } from "nst/dom";
import { emit } from "nst/events";
import { state, view } from "nst/state";

export const NONE = "";
const MOST = 12; // values of a key that is chosen automatically

/** Keys of rows and columns. @returns {[string, string]} */
export function axes() {
  const best = automatic();
  let rows = view.rows === "auto" ? best[0] : view.rows;
  let columns = view.columns === "auto" ? best[1] : view.columns;
  if (view.rows === "auto" && rows === columns) rows = best.find((key) => key !== columns) ?? NONE;
  if (view.columns === "auto" && rows === columns) columns = best.find((key) => key !== rows) ?? NONE;
  return [rows === columns ? NONE : rows, columns];
}

/** The two keys of all runs that fill the most cells; the one with fewer values across. @returns {[string, string]} */
function automatic() {
  if (state.data.study) return [NONE, NONE]; // nearly every trial has values of its own
  const small = [...varying()].filter(([key, values]) => values.length <= MOST && state.shown.every((run) => run.facts.has(key)));
  /** @type {[string, string]} */
  let best = [NONE, small[0]?.[0] ?? NONE];
  let most = 0;
  for (const [row, inRows] of small) {
    for (const [column, inColumns] of small) {
      if (row === column || inColumns.length > inRows.length) continue;
      const cells = new Set(state.shown.map((run) => `${run.facts.get(row)}\n${run.facts.get(column)}`));
      if (cells.size > most) [most, best] = [cells.size, [row, column]];
    }
  }
  return best;
}

export function showAxes() {
  const [rows, columns] = axes();
  fill(byId("rows", HTMLSelectElement), view.rows, rows);
  fill(byId("columns", HTMLSelectElement), view.columns, columns);
}

/** @param {HTMLSelectElement} select @param {string} chosen @param {string} actual what "auto" is at the moment */
function fill(select, chosen, actual) {
  const keys = new Set(varying().keys());
  if (chosen !== "auto" && chosen !== NONE) keys.add(chosen);
  const auto = actual ? `auto: ${actual}` : "auto";
  select.replaceChildren(...options([["auto", auto], [NONE, "nothing"]]), ...options([...keys].map((key) => [key, key])));
  select.value = chosen;
}

export function listenAxes() {
  for (const name of /** @type {const} */ (["rows", "columns"])) {
    const select = byId(name, HTMLSelectElement);
    select.addEventListener("change", () => { view[name] = select.value; emit("refresh"); });
  }
}
