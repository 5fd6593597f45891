"use strict";
/* What is shown of the runs, and the link that restores it. Everything else reads `view`. */
const byId = (id) => document.getElementById(id);
const START = {
  by: "step", at: Infinity, rows: "auto", columns: "auto", filter: "", sort: "", pins: [],
  a: "", b: "", mode: "wipe", wipe: 50, gain: 1, zoom: 1, x: 0, y: 0,
  metric: "loss/total", logx: false, logy: true,
};
const view = { ...START };
let data = null;
let runs = [];      // all, in the order of the page
let shown = [];     // those that the filter lets through, pinned ones first
let positions = []; // of the slider, in steps or seconds

function takeData(found) {
  data = found;
  runs = data.runs.map((run) => {
    const from = run.signature ? run.id.lastIndexOf(run.signature) : 0;
    const text = Object.entries(run.values).map(([key, value]) => `${key}=${value}`);
    return { ...run, key: run.id.slice(Math.max(from, 0)), label: text.join(" ") || run.id };
  });
  const labels = new Map();
  for (const run of runs) labels.set(run.label, (labels.get(run.label) || 0) + 1);
  for (const run of runs) if (labels.get(run.label) > 1) run.label += ` (${run.key})`;
}

const byKey = (key) => runs.find((run) => run.key === key);

/* A word of the filter: `loss<20`, `init=noise`, or part of anything that is known of the run. */
function matcher(word) {
  const [, key, sign, text] = /^([^<>=]+)([<>=])(.+)$/.exec(word) || [];
  if (!key) {
    const part = word.toLowerCase();
    return (run) => haystack(run).includes(part);
  }
  return (run) => {
    const value = valueOf(run, key);
    if (value === undefined) return false;
    if (sign === "=") {
      return String(value).toLowerCase().includes(text.toLowerCase()) ||
        (text !== "" && Number(value) === Number(text));
    }
    return sign === "<" ? Number(value) < Number(text) : Number(value) > Number(text);
  };
}

function haystack(run) {
  return [run.id, run.status, run.label, ...run.experiments, ...run.sweeps].join(" ").toLowerCase();
}

function valueOf(run, key) {
  if (key in run.measures) return run.measures[key];
  if (key in run.sort) return run.sort[key];
  if (key in run.values) return run.values[key];
  if (key === "status") return run.status;
  if (key === "experiment") return run.experiments.join(" ");
  if (key === "sweep") return run.sweeps.join(" ");
  return data.same[key];
}

function choose() {
  const tests = view.filter.split(/\s+/).filter(Boolean).map(matcher);
  const pinned = view.pins.map(byKey).filter(Boolean);
  const others = runs.filter((run) => !pinned.includes(run) && tests.every((test) => test(run)));
  shown = [...pinned, ...sorted(others)];
  const axis = shown.flatMap((run) => (run.film ? run.film[view.by === "step" ? "steps" : "seconds"] : []));
  if (view.by === "step") {
    positions = [...new Set(axis)].sort((a, b) => a - b);
  } else {
    const last = Math.max(0, ...axis);
    positions = Array.from({ length: 101 }, (_, index) => (last * index) / 100);
  }
  if (!positions.length) positions = [0];
}

function sorted(list) {
  if (!view.sort) return list;
  const falling = view.sort.startsWith("-");
  const key = falling ? view.sort.slice(1) : view.sort;
  const compare = (one, other) => {
    const [x, y] = [valueOf(one, key), valueOf(other, key)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    const order = typeof x === "number" && typeof y === "number"
      ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return falling ? -order : order;
  };
  return [...list].sort(compare);
}

const position = () => {
  const index = positions.findLastIndex((value) => value <= view.at);
  return Math.max(index, 0);
};

/* Which of a run's snapshots is shown: the last one not after the slider. */
function frameOf(run) {
  if (!run.film) return 0;
  const at = position() === positions.length - 1 ? Infinity : positions[position()];
  const axis = view.by === "step" ? run.film.steps : run.film.seconds;
  return Math.max(axis.findLastIndex((value) => value <= at), 0);
}

/* The loss at the snapshot, from the rows that the page has. */
function lossAt(run, name = "loss/total") {
  const { step: steps, [name]: losses } = run.curves;
  if (!losses || !run.film) return undefined;
  const index = steps.findLastIndex((step) => step <= run.film.steps[frameOf(run)]);
  return index < 0 ? undefined : losses[index];
}

function digits(value) {
  if (value === undefined || value === null || value === "") return "–";
  if (typeof value !== "number") return String(value);
  return Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
    ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

/* The link. Only what is not as at the start stands in it. */
const FIELDS = { at: Number, wipe: Number, gain: Number, zoom: Number, x: Number, y: Number,
  logx: (text) => text === "true", logy: (text) => text === "true", pins: (text) => text.split("~") };

let known = "";  // the part of the address that was last read or written here

function readLink() {
  known = location.hash;
  Object.assign(view, START);
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    if (!(name in START)) continue;
    const value = (FIELDS[name] || String)(text);
    if (!Number.isNaN(value)) view[name] = value;
  }
}

let linkTimer = 0;
function writeLink() {
  clearTimeout(linkTimer);
  // an address that somebody has just put in is not to be overwritten before it is read
  linkTimer = setTimeout(() => { if (location.hash === known) putLink(); }, 200);
}

function putLink() {
  history.replaceState(null, "", link());
  known = location.hash;
}

function link() {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) {
    const text = Array.isArray(value) ? value.join("~") : String(value);
    const start = Array.isArray(START[name]) ? "" : String(START[name]);
    if (text !== start) words.set(name, text);
  }
  return `#${words}`;
}

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("data-") || key.startsWith("aria-") || key === "role" || key === "scope") {
      made.setAttribute(key, value);
    } else {
      made[key] = value;
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function copyButton(text, title) {
  const button = element("button", { type: "button", className: "copy", textContent: title });
  button.dataset.copy = text;
  return button;
}
