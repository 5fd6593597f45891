/* Loss curves of all that is shown; hovering is linked to the pictures and the table. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const EVERY = "style, every layer of A and B";
let traces = []; // runs, in the order of the lines

function fillMetrics() {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.curves)))].filter((name) => name.startsWith("loss/"));
  byId("metric").replaceChildren(...[...names, EVERY].map((name) =>
    element("option", { value: name, textContent: name.replace("loss/", "") })));
  if (![...names, EVERY].includes(view.metric)) view.metric = START.metric;
  byId("metric").value = view.metric;
}

function lines() {
  const axis = view.by;
  const line = (run, name, colour, dash, title) => {
    const from = view.logx ? run.curves[axis].findIndex((value) => value > 0) : 0;
    return {
      run, x: run.curves[axis].slice(from), y: run.curves[name].slice(from), mode: "lines", name: title, type: "scatter",
      line: { color: colour, dash, width: shown.length > 40 ? 1 : 1.8 },
      hovertemplate: `${escaped(title)}<br>${axis} %{x}: %{y:.4g}<extra></extra>`,
    };
  };
  if (view.metric === EVERY) {
    return pairOf().filter(Boolean).flatMap((run, index) => Object.keys(run.curves)
      .filter((name) => name.startsWith("loss/style/"))
      .map((name, layer) => line(run, name, COLOURS[layer % COLOURS.length], DASHES[index], `${"AB"[index]} ${name.slice(11)}`)));
  }
  const [rowKey, columnKey] = axes();
  const [colourKey, dashKey] = columnKey ? [columnKey, rowKey] : [rowKey, NONE];
  const place = (key) => {
    const values = [...new Set(shown.map((run) => run.values[key]))];
    return (run) => (key ? values.indexOf(run.values[key]) : shown.indexOf(run));
  };
  const [colour, dash] = [place(colourKey), dashKey ? place(dashKey) : () => 0];
  return shown.filter((run) => run.curves[view.metric]?.length).map((run) =>
    line(run, view.metric, COLOURS[colour(run) % COLOURS.length], DASHES[dash(run) % DASHES.length], run.label));
}

const escaped = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

function drawCurves() {
  byId("x-name").textContent = view.by === "step" ? "steps" : "seconds";
  byId("logx").checked = view.logx;
  byId("logy").checked = view.logy;
  if (!window.Plotly || !data) return;
  const found = lines();
  traces = found.map((trace) => trace.run);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line") };
  const layout = {
    height: 380, margin: { l: 64, r: 16, t: 12, b: 48 }, hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", color: colour("--ink") },
    xaxis: { ...axis, title: { text: view.by }, type: view.logx ? "log" : "linear" },
    yaxis: { ...axis, title: { text: view.metric.replace("loss/", "") }, type: view.logy ? "log" : "linear" },
    showlegend: found.length > 1 && found.length <= 16, legend: { orientation: "h", y: -0.2 },
    hoverlabel: { bgcolor: colour("--raised") }, shapes: timeLine(),
  };
  const plot = byId("plot");
  const drawn = Plotly.react(plot, found.map(({ run, ...trace }) => ({ ...trace, name: escaped(trace.name) })), layout,
    { displaylogo: false, responsive: true, displayModeBar: false });
  drawn.then(() => {
    if (plot.dataset.linked) return;
    plot.dataset.linked = "yes";
    plot.on("plotly_hover", (event) => light(traces[event.points[0].curveNumber]?.key));
    plot.on("plotly_unhover", () => light(null));
    plot.on("plotly_click", (event) => {
      const at = event.points[0].x;
      play(false);
      scrub(positions.findLastIndex((value) => value <= at));
    });
  });
}

function timeLine() {
  const at = positions[position()];
  if (at === undefined || (view.logx && at <= 0)) return [];
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  return [{ type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { color: colour, width: 1.5, dash: "dot" } }];
}

let timeFrame = 0;
function markTime() {
  cancelAnimationFrame(timeFrame);
  timeFrame = requestAnimationFrame(() => {
    if (window.Plotly && byId("plot").data) Plotly.relayout(byId("plot"), { shapes: timeLine() });
  });
}

/* Lights a run up in the pictures, the table and the curves. */
function light(key) {
  for (const each of document.querySelectorAll("[data-run]")) each.classList.toggle("lit", each.dataset.run === key);
  const drawn = byId("plot").querySelectorAll(".scatterlayer .trace");
  drawn.forEach((line, index) => {
    line.style.opacity = key && traces[index]?.key !== key ? 0.15 : 1;
  });
}

function listenCurves() {
  byId("metric").addEventListener("change", (event) => { view.metric = event.target.value; drawCurves(); writeLink(); });
  for (const name of ["logx", "logy"]) {
    byId(name).addEventListener("change", (event) => { view[name] = event.target.checked; drawCurves(); writeLink(); });
  }
  for (const [on, key] of [["pointerover", true], ["pointerout", false], ["focusin", true], ["focusout", false]]) {
    document.addEventListener(on, (event) => {
      const linked = event.target.closest?.("figure[data-run], tr[data-run]");
      if (linked) light(key ? linked.dataset.run : null);
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCurves);
}
