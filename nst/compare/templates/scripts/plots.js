/** The look of all plots. The library is large, and comes after the page. */
import { colour } from "nst/dom";

export const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f"];

/** A text for a label, in which the library would read HTML. @param {string} text */
export const escaped = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** @param {string} title @param {Record<string, unknown>} more */
export const axis = (title, more = {}) => ({
  gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), title: { text: escaped(title) }, ...more,
});

/** Draws or updates a plot. @param {HTMLElement} box @param {object[]} traces @param {Record<string, unknown>} layout @returns {Promise<any>} */
export const draw = (box, traces, layout) => window.Plotly.react(box, traces, {
  margin: { l: 64, r: 16, t: 12, b: 48 }, hovermode: "closest", paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
  font: { family: "system-ui, sans-serif", color: colour("--ink") }, hoverlabel: { bgcolor: colour("--raised") }, ...layout,
}, { displaylogo: false, responsive: true, displayModeBar: false });
