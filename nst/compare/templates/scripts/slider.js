/** The slider: moves all pictures together, by hand or by playing. */
import { byId, radios } from "nst/dom";
import { emit } from "nst/events";
import { writeLink } from "nst/link";
import { state, view } from "nst/state";
import { position } from "nst/time";

let resting = 0;
let playing = 0;

/** Moves every picture to a position. @param {number} index */
export function scrub(index) {
  const place = Math.min(Math.max(index, 0), state.positions.length - 1);
  // the end remains the end when a running run gets further
  view.at = place === state.positions.length - 1 ? Infinity : state.positions[place];
  showTime();
  writeLink();
}

export function showTime() {
  const slider = byId("slider", HTMLInputElement);
  slider.max = String(state.positions.length - 1);
  slider.value = String(position());
  const at = state.positions[position()];
  const text = view.by === "step" ? `step ${at}` : `${at.toFixed(1)} s`;
  byId("at").textContent = text;
  slider.setAttribute("aria-valuetext", text);
  emit("moved");
  clearTimeout(resting);
  resting = setTimeout(() => emit("rested"), 120);
}

export function play(on = !playing) {
  clearInterval(playing);
  playing = 0;
  if (on) {
    if (position() >= state.positions.length - 1) scrub(0);
    playing = setInterval(() => {
      if (position() >= state.positions.length - 1) play(false);
      else scrub(position() + 1);
    }, view.by === "step" ? 450 : 80);
  }
  byId("play").textContent = playing ? "pause" : "play";
  byId("play").setAttribute("aria-pressed", String(Boolean(playing)));
}

export function listenSlider() {
  const slider = byId("slider", HTMLInputElement);
  slider.addEventListener("input", () => { play(false); scrub(Number(slider.value)); });
  byId("play").addEventListener("click", () => play());
  for (const radio of radios("by")) {
    radio.addEventListener("change", () => {
      play(false);
      Object.assign(view, { by: radio.value, at: Infinity });
      emit("refresh");
    });
  }
}
