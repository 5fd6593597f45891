/** The loss curves of the runs that are shown. */
import { axes, NONE } from "nst/axes";
import { textOf } from "nst/data";
import { byId, colour, options } from "nst/dom";
import { light } from "nst/highlight";
import { writeLink } from "nst/link";
import { pairOf } from "nst/pair";
import { axis, COLOURS, draw, escaped } from "nst/plots";
import { play, scrub } from "nst/slider";
import { START, state, view } from "nst/state";
import { position } from "nst/time";

const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const EVERY = "style, every layer of A and B";
/** The runs of the lines, in order. @type {Run[]} */
export const traces = [];
let frame = 0;

export function fillMetrics() {
  const columns = new Set(state.runs.flatMap((run) => Object.keys(run.curves)));
  const names = [...[...columns].filter((name) => name.startsWith("loss/")), EVERY];
  if (!names.includes(view.metric)) view.metric = START.metric;
  const select = byId("metric", HTMLSelectElement);
  select.replaceChildren(...options(names.map((name) => [name, name.replace("loss/", "")])));
  select.value = view.metric;
}

/** @param {Run} run @param {string} column @param {number} hue @param {number} dash @param {string} title */
function line(run, column, hue, dash, title) {
  const times = run.curves[view.by];
  const from = view.logx ? times.findIndex((value) => Number(value) > 0) : 0;
  return {
    run, x: times.slice(from), y: run.curves[column].slice(from), mode: "lines", name: escaped(title), type: "scatter",
    line: { color: COLOURS[hue % COLOURS.length], dash: DASHES[dash % DASHES.length], width: state.shown.length > 40 ? 1 : 1.8 },
    hovertemplate: `${escaped(title)}<br>${view.by} %{x}: %{y:.4g}<extra></extra>`,
  };
}

/** A line per run: its colour by the setting across, its dashes by the one down. */
function lines() {
  if (view.metric === EVERY) return layers();
  const [rowKey, columnKey] = axes();
  /** @param {string} key */
  const places = (key) => {
    const values = [...new Set(state.shown.map((run) => textOf(run, key)))];
    return (/** @type {Run} */ run) => values.indexOf(textOf(run, key));
  };
  const [first, second] = columnKey === NONE ? [rowKey, NONE] : [columnKey, rowKey];
  const hue = first === NONE ? (/** @type {Run} */ run) => state.shown.indexOf(run) : places(first);
  const dash = second === NONE ? () => 0 : places(second);
  return state.shown.filter((run) => run.curves[view.metric]?.length)
    .map((run) => line(run, view.metric, hue(run), dash(run), run.label));
}

/** A line per style layer of A and of B. */
const layers = () => pairOf().flatMap((run, index) => Object.keys(run?.curves ?? {})
  .filter((name) => run && name.startsWith("loss/style/"))
  .map((name, layer) => line(/** @type {Run} */ (run), name, layer, index, `${"AB"[index]} ${name.slice(11)}`)));

/** @param {boolean} legend */
const layout = (legend) => ({
  height: 380, showlegend: legend, legend: { orientation: "h", y: -0.2 }, shapes: timeLine(),
  xaxis: axis(view.by, { type: view.logx ? "log" : "linear" }),
  yaxis: axis(view.metric.replace("loss/", ""), { type: view.logy ? "log" : "linear" }),
});

export function drawCurves() {
  byId("curves").hidden = state.runs.every(({ measured }) => measured);
  byId("x-name").textContent = view.by === "step" ? "steps" : "seconds";
  byId("logx", HTMLInputElement).checked = view.logx;
  byId("logy", HTMLInputElement).checked = view.logy;
  if (!window.Plotly) return;
  const found = lines();
  traces.splice(0, Infinity, ...found.map(({ run }) => run));
  const plot = byId("plot");
  draw(plot, found.map(({ run, ...trace }) => trace), layout(found.length > 1 && found.length <= 16)).then(() => linkPlot(plot));
}

/** A curve under the pointer lights up its run; a click moves the slider there. @param {any} plot */
function linkPlot(plot) {
  if (plot.dataset.linked) return;
  plot.dataset.linked = "yes";
  plot.on("plotly_hover", (/** @type {any} */ event) => light(traces[event.points[0].curveNumber]?.key));
  plot.on("plotly_unhover", () => light());
  plot.on("plotly_click", (/** @type {any} */ event) => {
    play(false);
    scrub(state.positions.findLastIndex((value) => value <= event.points[0].x));
  });
}

function timeLine() {
  const at = state.positions[position()];
  if (view.logx && at <= 0) return [];
  return [{ type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { color: colour("--accent"), width: 1.5, dash: "dot" } }];
}

/** Moves the line that marks the slider's place. */
export function markTime() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    const plot = byId("plot");
    if ("data" in plot) window.Plotly.relayout(plot, { shapes: timeLine() });
  });
}

export function listenCurves() {
  const metric = byId("metric", HTMLSelectElement);
  metric.addEventListener("change", () => { view.metric = metric.value; drawCurves(); writeLink(); });
  for (const name of /** @type {const} */ (["logx", "logy"])) {
    const box = byId(name, HTMLInputElement);
    box.addEventListener("change", () => { view[name] = box.checked; drawCurves(); writeLink(); });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCurves);
  byId("plotly").addEventListener("load", drawCurves); // the library is large, and comes late
}
