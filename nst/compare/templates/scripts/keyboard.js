/** The keys; the foot of the page lists them. */
import { around, byId } from "nst/dom";
import { togglePin } from "nst/marks";
import { lay } from "nst/pair";
import { play, scrub } from "nst/slider";
import { view } from "nst/state";
import { position } from "nst/time";
import { isVoting, openVoting, voteAction } from "nst/vote";
import { pan, zoomTo } from "nst/zoom";

/** @type {Record<string, [number, number]>} */
const MOVES = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };

export function listenKeyboard() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (around(event, "input:not([type=radio]):not([type=checkbox]), select, textarea")) return;
    const action = actionOf(event);
    if (!action) return;
    action();
    event.preventDefault();
  });
}

/** @param {KeyboardEvent} event @returns {(() => void) | undefined} */
function actionOf(event) {
  const { key } = event;
  if (isVoting()) return voteAction(event);
  if (event.shiftKey && key in MOVES) return () => pan(...MOVES[key]);
  if ((key === "ArrowLeft" || key === "ArrowRight") && !around(event, "[type=radio]")) {
    return () => { play(false); scrub(position() + (key === "ArrowLeft" ? -1 : 1)); };
  }
  if (key === " " && !around(event, "button, input, summary")) return () => play();
  if (key === "+" || key === "=") return () => zoomTo(view.zoom * 1.5);
  if (key === "-") return () => zoomTo(view.zoom / 1.5);
  if (key === "0") return () => zoomTo(1);
  if (key === "v") return openVoting;
  if (key === "/") return () => byId("filter").focus();
  const run = around(event, "figure[data-run]")?.dataset.run;
  if (run && (key === "a" || key === "b")) return () => lay(key, run);
  if (run && key === "p") return () => togglePin(run);
  return undefined;
}
