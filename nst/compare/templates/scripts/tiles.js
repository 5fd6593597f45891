/** Textures that wrap around: shown as two by two copies, so that seams can be seen. */
import { textOf } from "nst/data";
import { byId } from "nst/dom";
import { emit } from "nst/events";
import { state, view } from "nst/state";

/** @param {Run} run */
const wraps = (run) => textOf(run, "backbone.padding") === "circular";

/** Whether a run is shown so: it wraps around, or is a texture to compare with one that does. @param {Run} run */
export const isTiled = (run) =>
  view.tiled && (wraps(run) || (textOf(run, "task") === "texture_synthesis" && state.runs.some(wraps)));

export function showTiles() {
  byId("tiled-label").hidden = !state.runs.some(wraps);
  byId("tiled", HTMLInputElement).checked = view.tiled;
}

export function listenTiles() {
  const box = byId("tiled", HTMLInputElement);
  box.addEventListener("change", () => { view.tiled = box.checked; emit("refresh"); });
}
