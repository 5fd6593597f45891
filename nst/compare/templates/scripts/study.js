/** A study: its front, how it got better trial by trial, and what its objective depends on. */
import { byId, colour } from "nst/dom";
import { drawFront, listenFront } from "nst/front";
import { axis, COLOURS, draw } from "nst/plots";
import { state } from "nst/state";
import { linkTrials, points } from "nst/trials";

const LOW = 0.04; // height of the marks of trials without values, as a fraction of the plot's

export function drawStudy() {
  const { study } = state.data;
  byId("study").hidden = !study;
  if (!study) return;
  byId("study-title").textContent = `Study ${study.name}`;
  byId("study-about").textContent = about(study);
  if (!window.Plotly) return;
  drawFront(study);
  drawHistory(study);
  drawImportances(study);
}

/** @param {Study} study */
function about({ trials, objective, front }) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const { status } of trials) counts[status] = (counts[status] ?? 0) + 1;
  const statuses = Object.entries(counts).map(([status, count]) => `${count} ${status}`).join(", ");
  const best = objective.length > 1 ? `${front.length} on the front` : front.length ? `the best is trial ${front[0]}` : "";
  return [`${trials.length} trials (${statuses})`, best].filter(Boolean).join("; ");
}

/** A point for each trial that ended; those without values are at the foot. @param {Study} study */
function drawHistory(study) {
  const { trials, objective, history } = study;
  const several = objective.length > 1;
  /** @param {Trial["status"]} status */
  const having = (status) => trials.filter((trial) => trial.status === status);
  /** @param {Trial[]} found */
  const numbers = (found) => found.map(({ number }) => number);
  const completed = having("completed");
  const heights = completed.map(({ number, values }) => (several ? history[number] : values[0]));
  /** @param {"pruned" | "failed"} status @param {string} symbol @param {string} color */
  const marks = (status, symbol, color) => {
    const found = having(status);
    return { ...points(study, found, numbers(found), found.map(() => LOW), status, { symbol, color, size: 8 }), yaxis: "y2", showlegend: found.length > 0 };
  };
  const plot = byId("history");
  draw(plot, [
    { x: numbers(trials), y: history, name: several ? "hypervolume" : "best so far", mode: "lines", type: "scatter", hoverinfo: "skip",
      line: { shape: "hv", color: colour("--accent"), width: 1.8 } },
    points(study, completed, numbers(completed), heights, "completed", { color: colour(several ? "--accent" : "--soft"), size: 7 }),
    marks("pruned", "x", COLOURS[5]),
    marks("failed", "triangle-up", COLOURS[1]),
  ], {
    height: 250, showlegend: true, legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0 }, margin: { l: 64, r: 16, t: 30, b: 42 },
    xaxis: axis("trial", { tickformat: "d", zeroline: false }), yaxis: axis(several ? "hypervolume of the front" : objective[0].title),
    yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
  }).then(() => linkTrials(plot));
}

/** A bar for each searched key and objective, the longest at the top. @param {Study} study */
function drawImportances({ objective, importances }) {
  const keys = [...new Set(importances.flatMap(Object.keys))];
  byId("importances-part").hidden = !keys.length;
  if (!keys.length) return;
  /** @param {string} key */
  const sum = (key) => importances.reduce((total, each) => total + (each[key] ?? 0), 0);
  keys.sort((one, other) => sum(one) - sum(other));
  const bars = objective.map(({ title }, index) => ({
    type: "bar", orientation: "h", name: title, y: keys, x: keys.map((key) => importances[index][key] ?? 0),
    marker: { color: COLOURS[index % COLOURS.length] }, hovertemplate: `%{y}: %{x:.0%} of ${title}<extra></extra>`,
  }));
  draw(byId("importances"), bars.reverse(), { // from the foot upwards
    height: 90 + keys.length * (14 + 14 * bars.length), barmode: "group", showlegend: bars.length > 1,
    legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0, traceorder: "reversed" }, margin: { l: 64, r: 16, t: 30, b: 42 },
    xaxis: axis("share of the variance", { tickformat: ".0%", range: [0, 1] }), yaxis: axis("", { automargin: true, type: "category" }),
  });
}

export function listenStudy() {
  listenFront();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawStudy);
  byId("plotly").addEventListener("load", drawStudy);
}
