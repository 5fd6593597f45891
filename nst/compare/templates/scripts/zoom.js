/** Zoom: the same detail of all pictures. */
import { around, byId, within } from "nst/dom";
import { writeLink } from "nst/link";
import { view } from "nst/state";

/** Zooms about a point. @param {number} zoom @param {number} px fraction of the width @param {number} py fraction of the height */
export function zoomTo(zoom, px = 0.5, py = 0.5) {
  const next = Math.min(Math.max(zoom, 1), 32);
  const factor = next / view.zoom;
  view.x = px - (px - view.x) * factor;
  view.y = py - (py - view.y) * factor;
  view.zoom = next;
  pan(0, 0);
}

/** Moves the detail, by fractions of the frame. @param {number} dx @param {number} dy */
export function pan(dx, dy) {
  const clamp = (/** @type {number} */ value) => Math.min(0, Math.max(1 - view.zoom, value));
  view.x = clamp(view.x + dx);
  view.y = clamp(view.y + dy);
  showZoom();
  writeLink();
}

export function showZoom() {
  const { classList, style } = document.documentElement;
  style.setProperty("--zoom", String(view.zoom));
  style.setProperty("--x", `${view.x * 100}%`);
  style.setProperty("--y", `${view.y * 100}%`);
  classList.toggle("zoomed", view.zoom > 1);
  classList.toggle("pixels", view.zoom >= 6);
  byId("zoom").textContent = `${Number(view.zoom.toFixed(1))}×`;
}

export function listenZoom() {
  byId("in").addEventListener("click", () => zoomTo(view.zoom * 1.5));
  byId("out").addEventListener("click", () => zoomTo(view.zoom / 1.5));
  byId("fit").addEventListener("click", () => zoomTo(1));
  document.addEventListener("dblclick", (event) => {
    const box = around(event, ".stage");
    if (box) { event.preventDefault(); zoomTo(view.zoom * 2, ...within(box, event)); }
  });
  document.addEventListener("wheel", (event) => {
    const box = around(event, ".stage");
    if (!box || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    zoomTo(view.zoom * Math.exp(-event.deltaY / 300), ...within(box, event));
  }, { passive: false });
  listenDrag();
}

function listenDrag() {
  /** @type {{box: HTMLElement, x: number, y: number} | null} */
  let drag = null;
  document.addEventListener("pointerdown", (event) => {
    const box = around(event, ".stage");
    if (!box || view.zoom <= 1 || event.button !== 0) return;
    drag = { box, x: event.clientX, y: event.clientY };
    box.setPointerCapture(event.pointerId);
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const { width, height } = drag.box.getBoundingClientRect();
    pan((event.clientX - drag.x) / width, (event.clientY - drag.y) / height);
    Object.assign(drag, { x: event.clientX, y: event.clientY });
  });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { drag = null; });
}
