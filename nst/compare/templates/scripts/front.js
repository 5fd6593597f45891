/** The front of a study: its trials by two objectives, with the pictures of the best ones. */
import { byKey } from "nst/data";
import { byId, colour, element, options } from "nst/dom";
import { emit } from "nst/events";
import { open } from "nst/open";
import { axis, draw } from "nst/plots";
import { setFrame, stage } from "nst/stage";
import { state, view } from "nst/state";
import { describe, linkTrials, points } from "nst/trials";

const HEIGHT = 76; // of a picture, px
const WIDTH = 120; // of a picture, px, at most
const GAP = 5; // between a picture and its point, px
const MARGIN = 24; // between the outermost points and the edge without pictures, px

/** The pictures, in the order in which they get their places. @type {{trial: Trial, run: Run, button: HTMLElement, box: HTMLElement}[]} */
let pictures = [];

/** Indices of the objectives across and down. @param {Study} study @returns {[number, number]} */
function sides({ objective }) {
  const [across, down] = [view.across, view.down].map((name) => objective.findIndex((each) => each.name === name));
  const first = across >= 0 ? across : down === 0 ? 1 : 0;
  const second = down >= 0 && down !== first ? down : first === 1 ? 0 : 1;
  return [first, second];
}

/** @param {Study} study */
export function drawFront(study) {
  const { objective, trials, front } = study;
  byId("front-part").hidden = objective.length < 2;
  byId("front-axes").hidden = objective.length < 3;
  if (objective.length < 2) return;
  const [across, down] = sides(study);
  for (const [name, index] of /** @type {const} */ ([["across", across], ["down", down]])) {
    const select = byId(`front-${name}`, HTMLSelectElement);
    select.replaceChildren(...options(objective.map((each) => [each.name, each.title])));
    select.value = objective[index].name;
  }
  const better = [objective[down].higher ? "upper" : "lower", objective[across].higher ? "right" : "left"].join(" ");
  byId("front-about").textContent = `${better} is better; a click on a trial shows its run below`;
  const best = front.map((number) => trials[number]);
  const others = trials.filter(({ number, status }) => status === "completed" && !front.includes(number));
  /** @param {number} index */
  const values = (index) => (/** @type {Trial} */ trial) => trial.values[index];
  /** @param {Trial[]} found */
  const at = (found) => /** @type {const} */ ([found.map(values(across)), found.map(values(down))]);
  const plot = byId("front");
  const size = { x: plot.clientWidth - 80, y: 460 };
  const all = [...best, ...others];
  draw(plot, [
    points(study, others, ...at(others), "other trials", { color: colour("--soft"), size: 7, opacity: 0.6 }),
    { ...points(study, best, ...at(best), "front", { color: colour("--accent"), size: 10 }),
      mode: objective.length === 2 ? "lines+markers" : "markers", line: { color: colour("--accent"), width: 1.5 } },
  ], {
    height: size.y + 60, showlegend: false, uirevision: [study.name, across, down].join(),
    xaxis: axis(objective[across].title, { range: range(all.map(values(across)), objective[across].higher, size.x, WIDTH) }),
    yaxis: axis(objective[down].title, { range: range(all.map(values(down)), objective[down].higher, size.y, HEIGHT) }),
  }).then(() => {
    if (!plot.dataset.linked) /** @type {any} */ (plot).on("plotly_afterplot", place);
    linkTrials(plot);
    place();
  });
  makePictures(study, best);
}

/**
 * The range of an axis, with room for pictures on the better side.
 * @param {number[]} values @param {boolean} higher is better @param {number} length of the axis, px @param {number} room px
 */
function range(values, higher, length, room) {
  if (!values.length) return undefined;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pixel = (high - low || Math.abs(high) || 1) / Math.max(length - room - 2 * MARGIN, 1);
  const [before, after] = higher ? [MARGIN, MARGIN + room] : [MARGIN + room, MARGIN];
  return [low - before * pixel, high + after * pixel];
}

/** @param {Study} study @param {Trial[]} best */
function makePictures(study, best) {
  const ends = [best[0], best[best.length - 1]];
  pictures = [...new Set([...ends, ...best])].flatMap((trial) => {
    const run = trial?.run && byKey(trial.run);
    if (!run || !run.filmstrip) return [];
    const [width, height] = run.filmstrip.size;
    const text = describe(study, trial);
    const box = stage(run);
    const button = element("button", {
      type: "button", className: "shot", "data-run": run.key, title: text.join("\n"), "aria-label": `show ${text.join(", ")}`,
    }, box);
    button.style.width = `${Math.min(WIDTH, (HEIGHT * width) / height)}px`;
    button.addEventListener("click", () => open(run.key));
    return [{ trial, run, button, box }];
  });
  byId("shots").replaceChildren(...pictures.map(({ button }) => button));
  showFront(true);
}

/**
 * Puts each picture with a corner at its point, on the better side, where no trial is. Those without room of their own
 * are shown only while their run is under the pointer.
 */
function place() {
  const { study } = state.data;
  const layout = /** @type {any} */ (byId("front"))._fullLayout;
  if (!study || !layout) return;
  const [across, down] = sides(study);
  const { xaxis, yaxis } = layout;
  /** @type {{left: number, top: number, right: number, bottom: number}[]} */
  const taken = [];
  for (const { trial, button } of pictures) {
    button.hidden = false;
    const [width, height] = [button.offsetWidth, button.offsetHeight];
    const x = xaxis._offset + xaxis.d2p(trial.values[across]);
    const y = yaxis._offset + yaxis.d2p(trial.values[down]);
    const left = study.objective[across].higher ? x + GAP : x - GAP - width;
    const top = study.objective[down].higher ? y - GAP - height : y + GAP;
    const own = { left, top, right: left + width, bottom: top + height };
    const inside = left >= xaxis._offset && own.right <= xaxis._offset + xaxis._length
      && top >= yaxis._offset && own.bottom <= yaxis._offset + yaxis._length;
    const crowded = taken.some((other) => own.left < other.right && other.left < own.right
      && own.top < other.bottom && other.top < own.bottom);
    button.hidden = !inside;
    button.classList.toggle("crowded", crowded);
    if (inside && !crowded) taken.push(own);
    Object.assign(button.style, { left: `${left}px`, top: `${top}px` });
  }
}

/** Shows what the runs have at the slider. @param {boolean} rested whether the slider rests */
export function showFront(rested) {
  for (const { run, box } of pictures) setFrame(box, run, rested && view.zoom > 1); // small: the filmstrip is sharp enough
}

export function listenFront() {
  for (const name of /** @type {const} */ (["across", "down"])) {
    const select = byId(`front-${name}`, HTMLSelectElement);
    select.addEventListener("change", () => { view[name] = select.value; emit("refresh"); });
  }
}
