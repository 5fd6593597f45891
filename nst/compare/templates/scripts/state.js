/** What the page knows and what the person has chosen; every module reads it. */

/** @type {Readonly<View>} */
export const START = {
  by: "step", at: Infinity, rows: "auto", columns: "auto", filter: "", sort: "", pins: [], most: 400,
  a: "", b: "", mode: "wipe", wipe: 50, gain: 1, zoom: 1, x: 0, y: 0, tiled: true,
  metric: "loss/total", logx: false, logy: true, across: "", down: "",
};

/** @type {View} */
export const view = { ...START };

/** @type {State} */
export const state = {
  data: { live: null, made: 0, keys: [], settings: [], shared: {}, measures: {}, runs: [], study: null, view: null },
  runs: [], shown: [], matching: 0, positions: [0], votes: [], server: false,
};
