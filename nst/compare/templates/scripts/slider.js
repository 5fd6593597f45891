/* The slider and the zoom: all pictures move together. */
let restTimer = 0;

function showSlider() {
  const slider = byId("slider");
  slider.max = positions.length - 1;
  slider.value = position();
  const at = positions[position()];
  const text = view.by === "step" ? `step ${at}` : `${at.toFixed(1)} s`;
  byId("at").textContent = text;
  slider.setAttribute("aria-valuetext", text);
}

/* Moves every picture; the snapshots themselves follow when the slider rests. */
function scrub(index) {
  const place = Math.min(Math.max(index, 0), positions.length - 1);
  // the end stays the end, also when a run that is going gets further
  view.at = place === positions.length - 1 ? Infinity : positions[place];
  showTime();
  writeLink();
}

function showTime() {
  showSlider();
  for (const cell of cells.keys()) showFrame(cell, false);
  showPair(false);
  markTime();
  clearTimeout(restTimer);
  restTimer = setTimeout(() => {
    for (const cell of cells.keys()) showFrame(cell, true);
    showPair(true);
  }, 120);
}

let playing = 0;
function play(on = !playing) {
  clearInterval(playing);
  playing = 0;
  if (on) {
    if (position() >= positions.length - 1) scrub(0);
    playing = setInterval(() => {
      if (position() >= positions.length - 1) play(false);
      else scrub(position() + 1);
    }, view.by === "step" ? 450 : 80);
  }
  byId("play").textContent = playing ? "pause" : "play";
  byId("play").setAttribute("aria-pressed", String(Boolean(playing)));
}

/* Zoom about a point of the picture (0 to 1 of the stage); the same detail in every picture. */
function zoomTo(zoom, px = 0.5, py = 0.5) {
  const next = Math.min(Math.max(zoom, 1), 32);
  const factor = next / view.zoom;
  view.x = px - (px - view.x) * factor;
  view.y = py - (py - view.y) * factor;
  view.zoom = next;
  pan(0, 0);
}

function pan(dx, dy) {
  const clamp = (value) => Math.min(0, Math.max(1 - view.zoom, value));
  view.x = clamp(view.x + dx);
  view.y = clamp(view.y + dy);
  showZoom();
  writeLink();
}

function showZoom() {
  const root = document.documentElement;
  root.style.setProperty("--zoom", view.zoom);
  root.style.setProperty("--x", `${view.x * 100}%`);
  root.style.setProperty("--y", `${view.y * 100}%`);
  root.classList.toggle("zoomed", view.zoom > 1);
  root.classList.toggle("pixels", view.zoom >= 6);
  byId("zoom").textContent = `${Number(view.zoom.toFixed(1))}×`;
}

function listenLook() {
  byId("slider").addEventListener("input", (event) => { play(false); scrub(Number(event.target.value)); });
  byId("play").addEventListener("click", () => play());
  for (const radio of document.querySelectorAll("[name=by]")) {
    radio.addEventListener("change", () => {
      play(false);
      Object.assign(view, { by: radio.value, at: Infinity });
      refresh();
    });
  }
  byId("in").addEventListener("click", () => zoomTo(view.zoom * 1.5));
  byId("out").addEventListener("click", () => zoomTo(view.zoom / 1.5));
  byId("whole").addEventListener("click", () => zoomTo(1));
  document.addEventListener("dblclick", (event) => {
    const box = event.target.closest(".stage");
    if (box) { event.preventDefault(); zoomTo(view.zoom * 2, ...within(box, event)); }
  });
  document.addEventListener("wheel", (event) => {
    const box = event.target.closest?.(".stage");
    if (!box || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    zoomTo(view.zoom * Math.exp(-event.deltaY / 300), ...within(box, event));
  }, { passive: false });
  let drag = null;
  document.addEventListener("pointerdown", (event) => {
    const box = event.target.closest?.(".stage");
    if (box && view.zoom > 1 && !event.target.closest(".edge-handle") && event.button === 0) {
      drag = { box, x: event.clientX, y: event.clientY };
      box.setPointerCapture(event.pointerId);
    }
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const { width, height } = drag.box.getBoundingClientRect();
    pan((event.clientX - drag.x) / width, (event.clientY - drag.y) / height);
    Object.assign(drag, { x: event.clientX, y: event.clientY });
  });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { drag = null; });
}

function within(box, event) {
  const { left, top, width, height } = box.getBoundingClientRect();
  return [(event.clientX - left) / width, (event.clientY - top) / height];
}
