/** The grid: rows and columns by a setting each, a picture per run. */
import { axes, NONE } from "nst/axes";
import { textOf, varying } from "nst/data";
import { byId, copyButton, element } from "nst/dom";
import { emit } from "nst/events";
import { setFrame, stage } from "nst/stage";
import { state, view } from "nst/state";
import { digits, lossAt, stepOf } from "nst/time";

/** By figure. @type {Map<Element, {run: Run, cell: HTMLElement, box: HTMLElement, caption: HTMLElement}>} */
const cells = new Map();
/** @type {Set<Element>} */
const visible = new Set(); // in the window or near it

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) visible.add(target);
    else visible.delete(target);
    showFrame(target, true);
  }
}, { rootMargin: "300px" });

export function drawGrid() {
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.run : null;
  const [rowKey, columnKey] = axes();
  cells.clear();
  visible.clear();
  observer.disconnect();
  const grid = byId("grid");
  if (!state.shown.length) {
    const textContent = state.runs.length ? "No run matches the filter." : "No runs yet.";
    grid.replaceChildren(element("p", { className: "none", textContent }));
  } else if (rowKey === NONE && columnKey === NONE) {
    grid.replaceChildren(element("div", { className: "flow" }, ...state.shown.map((run) => figure(run, []))));
  } else {
    grid.replaceChildren(pictures(rowKey, columnKey));
  }
  if (state.shown.length < state.matching) grid.append(more());
  for (const cell of cells.keys()) observer.observe(cell);
  const again = focused && grid.querySelector(`[data-run="${CSS.escape(focused)}"]`);
  if (again instanceof HTMLElement) again.focus({ preventScroll: true });
}

/** What is left, and the button that shows more of it. */
function more() {
  const [shown, all] = [state.shown.length, state.matching];
  const button = element("button", { type: "button", id: "more", textContent: `show ${Math.min(shown, all - shown)} more` });
  button.addEventListener("click", () => { view.most = 2 * shown; emit("refresh"); });
  const textContent = `The first ${shown} of ${all} runs. The filter searches all of them, and so does sorting. `;
  return element("p", { className: "soft" }, textContent, button);
}

/** The runs with a value of a key; null: all. @param {Run[]} runs @param {string} key @param {string | null} value */
const having = (runs, key, value) => (value === null ? runs : runs.filter((run) => textOf(run, key) === value));

/** The values of a key; a single null if there is no key. @param {string} key */
const valuesOf = (key) => (key === NONE ? [null] : [...new Set(state.shown.map((run) => textOf(run, key)))]);

/** @param {string} rowKey @param {string} columnKey */
function pictures(rowKey, columnKey) {
  const columns = valuesOf(columnKey);
  const rows = valuesOf(rowKey).map((value) => {
    const runs = having(state.shown, rowKey, value);
    return { value, runs, inColumns: columns.map((column) => having(runs, columnKey, column)) };
  });
  const table = element("table", { className: "pictures" });
  if (columnKey !== NONE) {
    table.append(element("thead", {}, element("tr", {}, rowKey === NONE ? null : element("td"),
      ...columns.map((value) => heading("col", columnKey, value, having(state.shown, columnKey, value), rowKey)))));
  }
  table.append(element("tbody", {}, ...rows.map(({ value, runs, inColumns }) => element("tr", {},
    rowKey === NONE ? null : heading("row", rowKey, value, runs, columnKey),
    ...inColumns.map((found) => element("td", {}, element("div", { className: "several" },
      ...(found.length ? found.map((run) => figure(run, [rowKey, columnKey]))
        : [element("div", { className: "empty", textContent: "no run" })]))))))));
  const box = element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Pictures by setting" }, table);
  const across = rows.map(({ inColumns }) => inColumns.reduce((sum, found) => sum + Math.max(1, found.length), 0));
  box.style.setProperty("--across", String(Math.max(...across)));
  return box;
}

/**
 * The heading of a row or a column: its value, and below it the settings that change together with it.
 * @param {"row" | "col"} scope @param {string} key @param {string | null} value
 * @param {Run[]} runs those in it @param {string} other the key of the other axis
 */
function heading(scope, key, value, runs, other) {
  const cell = element("th", { scope });
  if (value === null) return cell;
  cell.append(element("span", { className: "key", textContent: key }), ` ${value}`);
  const inside = varying(runs);
  const along = [...varying().keys()].filter((each) =>
    each !== key && each !== other && !inside.has(each) && runs[0].facts.has(each));
  const textContent = along.map((each) => `${each} ${textOf(runs[0], each)}`).join(", ");
  if (textContent) cell.append(element("span", { className: "along", textContent }));
  return cell;
}

/** @param {Run} run @param {string[]} known keys whose values the headings show */
function figure(run, known) {
  const more = [...varying().keys()].filter((key) => run.facts.has(key) && !known.includes(key));
  const label = known.length ? more.map((key) => `${key}=${textOf(run, key)}`).join(" ") : run.label;
  /** @param {string} name @param {string} title */
  const mark = (name, title) => element("button", {
    type: "button", textContent: name, title, "aria-label": `${title}: ${run.label}`, "data-mark": name,
  });
  const [box, caption] = [stage(run), element("span", { className: "state" })];
  const cell = element("figure", { className: "cell", tabIndex: 0, role: "group", "data-run": run.key },
    box, element("figcaption", {},
      label ? element("span", { className: "label", textContent: label, title: run.name }) : null,
      caption,
      element("span", { className: "marks" }, mark("A", "overlay: below"), mark("B", "overlay: on top"), mark("pin", "keep in view"),
        run.command ? copyButton(run.command, "command") : null)));
  cell.classList.toggle("pinned", view.pins.includes(run.key));
  cells.set(cell, { run, cell, box, caption });
  return cell;
}

/** @param {boolean} sharp the snapshots themselves, not only frames of the filmstrips */
export function showFrames(sharp) {
  for (const cell of cells.keys()) showFrame(cell, sharp);
}

/** @param {Element} figure @param {boolean} sharp */
function showFrame(figure, sharp) {
  const found = cells.get(figure);
  if (!found) return;
  const { run, cell, box, caption } = found;
  const step = stepOf(run);
  const loss = lossAt(run);
  const why = run.filmstrip && run.reason ? `: ${run.reason}` : ""; // else it is in place of the picture
  const parts = [run.measured ? "" : `step ${step}`,
    loss === undefined ? "" : `loss ${digits(loss)}`, run.status === "completed" ? "" : run.status + why];
  caption.textContent = parts.filter(Boolean).join(" · ");
  cell.dataset.step = String(step);
  cell.setAttribute("aria-label", [run.label, caption.textContent].filter(Boolean).join(": "));
  if (visible.has(cell)) setFrame(box, run, sharp);
}
