/** Two pictures on top of each other: an edge between them, their difference, or one at a time. */
import { axes } from "nst/axes";
import { byKey, textOf } from "nst/data";
import { byId, element, options, radios, within } from "nst/dom";
import { emit } from "nst/events";
import { writeLink } from "nst/link";
import { setFrame, stage } from "nst/stage";
import { state, view } from "nst/state";
import { isTiled } from "nst/tiles";
import { stepOf } from "nst/time";
import { drawVersus } from "nst/versus";

/** The pictures that are drawn. @type {{a: Run, b: Run, tiled: string, box: HTMLElement, under: HTMLElement, top: HTMLElement} | null} */
let drawn = null;

/** A and B. @returns {[Run, Run] | [undefined, undefined]} */
export function pairOf() {
  const first = byKey(view.a) ?? state.shown.find((run) => run.key !== view.b) ?? state.shown[0];
  return first ? [first, byKey(view.b) ?? nearest(first) ?? first] : [undefined, undefined];
}

/** The run with the fewest other settings, above all one in another column. @param {Run} run */
function nearest(run) {
  const [, columnKey] = axes();
  /** @param {Run} other */
  const distance = (other) => {
    const keys = state.data.keys.filter((key) => textOf(other, key) !== textOf(run, key));
    return keys.length - (keys.includes(columnKey) ? 0.5 : 0);
  };
  return state.shown.filter((other) => other !== run).sort((one, other) => distance(one) - distance(other))[0];
}

export function drawPair() {
  const [a, b] = pairOf();
  byId("pair").hidden = !a || a === b;
  if (!a || a === b) { drawn = null; return; }
  for (const [name, run] of /** @type {const} */ ([["a", a], ["b", b]])) {
    const select = byId(name, HTMLSelectElement);
    const list = state.shown.includes(run) ? state.shown : [...state.shown, run];
    select.replaceChildren(...options(list.map((each) => [each.key, each.label])));
    select.value = run.key;
  }
  const tiled = [a, b].map(isTiled).join();
  if (drawn?.a !== a || drawn?.b !== b || drawn?.tiled !== tiled) {
    const [under, top] = [stage(a), stage(b)];
    under.classList.add("under");
    top.classList.add("top");
    const box = element("div", { className: "overlay" }, under, top);
    box.append(edgeHandle(box));
    byId("over").replaceChildren(box, inputs(a, b));
    drawn = { a, b, tiled, box, under, top };
  }
  showMode();
  showPair(true);
}

/** @param {HTMLElement} box */
function edgeHandle(box) {
  const handle = element("div", { className: "edge-handle", title: "drag the edge" });
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    handle.onpointermove = (moved) => setWipe(100 * within(box, moved)[0]);
  });
  handle.addEventListener("pointerup", () => { handle.onpointermove = null; });
  return handle;
}

/** What makes an input the same in two runs; masks are those of a run. @param {Run} run @param {string} name */
function identity(run, name) {
  if (name === "content") return textOf(run, "content");
  return name.startsWith("style") ? `${textOf(run, "style")} ${textOf(run, "colour")}` : run.key;
}

/** The inputs of A and B: content, styles and masks; the same picture once. @param {Run} a @param {Run} b */
function inputs(a, b) {
  /** @type {Map<string, {name: string, href: string, letters: string[]}>} */
  const pictures = new Map();
  for (const [letter, run] of /** @type {const} */ ([["A", a], ["B", b]])) {
    for (const [name, href] of Object.entries(run.inputs)) {
      const key = `${name} ${identity(run, name)}`;
      const found = pictures.get(key) ?? { name, href, letters: [] };
      found.letters.push(letter);
      pictures.set(key, found);
    }
  }
  return element("div", { className: "inputs" }, ...[...pictures.values()].map(({ name, href, letters }) => {
    const title = letters.length < 2 ? `${name} of ${letters[0]}` : name;
    return element("figure", { className: "edge" },
      element("img", { src: encodeURI(href), alt: title, loading: "lazy" }),
      element("figcaption", { textContent: title }));
  }));
}

/** @param {boolean} sharp the snapshots themselves */
export function showPair(sharp) {
  if (!drawn) return;
  const { a, b, box, under, top } = drawn;
  setFrame(under, a, sharp);
  setFrame(top, b, sharp);
  box.dataset.steps = `${stepOf(a)} ${stepOf(b)}`;
  drawVersus(a, b);
}

/** @param {number} percent */
function setWipe(percent) {
  view.wipe = Math.round(Math.min(Math.max(percent, 0), 100));
  showMode();
  writeLink();
}

function showMode() {
  for (const radio of radios("mode")) radio.checked = radio.value === view.mode;
  byId("wipe-label").hidden = view.mode !== "wipe";
  byId("gain-label").hidden = view.mode !== "difference";
  byId("wipe", HTMLInputElement).value = String(view.wipe);
  byId("gain", HTMLInputElement).value = String(view.gain);
  byId("gain-shown").textContent = String(view.gain);
  if (!drawn) return;
  drawn.box.dataset.mode = view.mode;
  drawn.box.style.setProperty("--wipe", `${view.wipe}%`);
  drawn.box.style.setProperty("--gain", String(view.gain));
}

export function listenPair() {
  for (const name of /** @type {const} */ (["a", "b"])) {
    const select = byId(name, HTMLSelectElement);
    select.addEventListener("change", () => lay(name, select.value));
  }
  for (const radio of radios("mode")) {
    radio.addEventListener("change", () => {
      view.mode = /** @type {View["mode"]} */ (radio.value);
      showMode();
      writeLink();
    });
  }
  const [wipe, gain] = [byId("wipe", HTMLInputElement), byId("gain", HTMLInputElement)];
  wipe.addEventListener("input", () => setWipe(Number(wipe.value)));
  gain.addEventListener("input", () => { view.gain = Number(gain.value); showMode(); writeLink(); });
}

/** Makes a run A or B; if it is the other one already, the two change places. @param {"a" | "b"} name @param {string} key */
export function lay(name, key) {
  const [a, b] = pairOf();
  const before = { a: a?.key ?? "", b: b?.key ?? "" };
  const other = name === "a" ? "b" : "a";
  view[name] = key;
  view[other] = before[other] === key ? before[name] : before[other];
  emit("pair");
  writeLink();
}
