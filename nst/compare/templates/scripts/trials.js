/** Trials as points of a plot: what they are called, and what a click on one does. */
import { light } from "nst/highlight";
import { open } from "nst/open";
import { escaped } from "nst/plots";
import { state } from "nst/state";
import { digits } from "nst/time";

/** The lines that describe a trial. @param {Study} study @param {Trial} trial */
export const describe = (study, trial) => [
  `trial ${trial.number}${trial.status === "completed" ? "" : `: ${trial.status}`}`,
  ...(trial.reason ? [trial.reason] : []),
  ...trial.values.map((value, index) => `${study.objective[index].title} ${digits(value)}`),
  ...Object.entries(trial.settings).map(([key, value]) => `${key}=${value}`),
];

/**
 * Trials as points; hovering describes them.
 * @param {Study} study @param {Trial[]} trials @param {unknown[]} x @param {unknown[]} y
 * @param {string} name for the legend @param {object} marker
 */
export const points = (study, trials, x, y, name, marker) => ({
  x, y, name, marker, mode: "markers", type: "scatter", customdata: trials.map(({ number }) => number),
  text: trials.map((trial) => describe(study, trial).map(escaped).join("<br>")), hovertemplate: "%{text}<extra></extra>",
});

/** A point under the pointer lights up its run; a click opens it. @param {any} plot */
export function linkTrials(plot) {
  if (plot.dataset.linked) return;
  plot.dataset.linked = "yes";
  /** @param {any} event */
  const run = (event) => state.data.study?.trials[event.points[0].customdata]?.run ?? undefined;
  plot.on("plotly_hover", (/** @type {any} */ event) => light(run(event)));
  plot.on("plotly_unhover", () => light());
  plot.on("plotly_click", (/** @type {any} */ event) => {
    const key = run(event);
    if (key) open(key);
  });
}
