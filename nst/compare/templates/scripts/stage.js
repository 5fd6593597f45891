/** A picture in two layers: a frame of the filmstrip at once, and the snapshot itself when the slider rests. */
import { element } from "nst/dom";
import { isTiled } from "nst/tiles";
import { frameOf } from "nst/time";

/** @param {Run} run */
export function stage(run) {
  const box = element("div", { className: "stage" });
  if (!run.filmstrip) {
    box.append(element("div", { className: "empty", textContent: run.reason || `${run.status}: no picture yet` }));
    return box;
  }
  box.style.aspectRatio = run.filmstrip.size.join(" / ");
  const sharp = element("img", { className: "sharp layer", alt: "", draggable: false, decoding: "async" });
  sharp.addEventListener("load", () => {
    sharp.classList.add("on");
    // as a background it is repeated without gaps between the copies
    box.style.setProperty("--snapshot", `url("${sharp.src}")`);
  });
  box.classList.toggle("tiled", isTiled(run));
  box.append(element("div", { className: "frame layer" }), sharp);
  return box;
}

/**
 * Shows what a run has at the slider.
 * @param {HTMLElement} box @param {Run} run
 * @param {boolean} sharp load the snapshot itself; copies side by side are always of it
 */
export function setFrame(box, run, sharp) {
  const [frame, image] = [box.querySelector(".frame"), box.querySelector(".sharp")];
  if (!run.filmstrip || !(frame instanceof HTMLElement) || !(image instanceof HTMLImageElement)) return;
  const index = frameOf(run);
  const { href, columns, rows, files } = run.filmstrip;
  if (frame.dataset.href !== href) {
    frame.dataset.href = href;
    frame.style.backgroundImage = `url("${encodeURI(href)}")`;
    frame.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
  }
  frame.style.backgroundPosition =
    `${percent(index % columns, columns)}% ${percent(Math.floor(index / columns), rows)}%`;
  const source = encodeURI(files[index]);
  if (!source) { // a page without files beside it
    image.classList.remove("on");
    return;
  }
  if (image.getAttribute("src") !== source) {
    image.classList.remove("on");
    if (sharp || box.classList.contains("tiled")) image.src = source;
  } else if (image.complete && image.naturalWidth) {
    image.classList.add("on");
  }
}

/** @param {number} place @param {number} count */
const percent = (place, count) => (count > 1 ? (100 * place) / (count - 1) : 0);
