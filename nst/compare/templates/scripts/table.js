/** The table: the settings that differ, and the measures; a click on a heading sorts the page. */
import { numberOf, textOf } from "nst/data";
import { byId, copyButton, element } from "nst/dom";
import { emit } from "nst/events";
import { state, view } from "nst/state";
import { digits } from "nst/time";

export function drawTable() {
  const { keys, measures } = state.data;
  const names = Object.keys(measures).filter((name) => state.runs.some((run) => numberOf(run, name) !== undefined));
  const best = new Map(names.map((name) => [name, bestOf(name)]));
  const head = element("tr", {}, element("td"), heading("status", "status"), ...keys.map((key) => heading(key, key)),
    ...names.map((name) => heading(name, measures[name].title, `${measures[name].about} ${measures[name].better} is better`)),
    element("td"));
  const rows = state.shown.map((run) => {
    const pinned = view.pins.includes(run.key);
    const pin = element("button", {
      type: "button", textContent: "pin", "aria-pressed": pinned, "aria-label": `keep in view: ${run.label}`, "data-mark": "pin",
    });
    return element("tr", { "data-run": run.key, className: pinned ? "pinned" : "" },
      element("td", {}, pin),
      element("td", { textContent: run.status, title: run.reason || "" }),
      ...keys.map((key) => element("td", { textContent: textOf(run, key) })),
      ...names.map((name) => {
        const value = numberOf(run, name);
        const [mark, title] = run.optimised.includes(name) ? ["*", "minimised, or nearly so, by this run itself"] : ["", ""];
        const className = value !== undefined && value === best.get(name) ? "best" : "";
        return element("td", { className, title, textContent: digits(value) + mark });
      }),
      element("td", {}, run.command ? copyButton(run.command, "command") : null,
        element("a", { href: encodeURI(`${run.folder}/`), textContent: "folder", title: run.name })));
  });
  byId("table").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  byId("optimised").hidden = !state.shown.some((run) => names.some((name) => run.optimised.includes(name)));
  drawSame();
}

/** The best value of a measure among several runs. A loss has none: weights may differ. @param {string} name */
function bestOf(name) {
  const values = state.shown.map((run) => numberOf(run, name)).filter((value) => value !== undefined);
  if (name === "loss" || state.shown.length < 2) return undefined;
  return state.data.measures[name].better === "lower" ? Math.min(...values) : Math.max(...values);
}

/** @param {string} key @param {string} text @param {string} title */
function heading(key, text, title = "") {
  const sorted = view.sort === key ? "ascending" : view.sort === `-${key}` ? "descending" : "none";
  const arrow = { ascending: " ↑", descending: " ↓", none: "" }[sorted];
  const button = element("button", { type: "button", className: "sort", textContent: text + arrow, title });
  button.addEventListener("click", () => {
    view.sort = { ascending: `-${key}`, descending: "", none: key }[sorted];
    emit("refresh");
  });
  return element("th", { scope: "col", "aria-sort": sorted }, button);
}

/** The settings that are the same in all runs. */
function drawSame() {
  const [run] = state.runs;
  const keys = state.data.settings.filter((key) => key in state.data.shared);
  byId("same").replaceChildren(...keys.flatMap((key) =>
    [element("dt", { textContent: key }), element("dd", { textContent: textOf(run, key) })]));
}

export function drawAbout() {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const { measured, status } of state.runs) {
    const kind = measured ? "measured" : status;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  const statuses = Object.entries(counts).map(([status, count]) => `${count} ${status}`).join(", ");
  const [shown, known] = [state.shown.length, state.runs.length];
  const live = state.data.live ? "; updated automatically" : "";
  byId("about").textContent = `${shown < known ? `${shown} of ${known}` : known} runs (${statuses})${live}`;
}
