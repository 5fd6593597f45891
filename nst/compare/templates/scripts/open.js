/** Goes to a run's picture in the grid. */
import { byId } from "nst/dom";
import { togglePin } from "nst/marks";
import { state } from "nst/state";

/** A run that the filter hides is pinned. @param {string} key */
export function open(key) {
  if (!state.shown.some((run) => run.key === key)) togglePin(key);
  const cell = byId("grid").querySelector(`[data-run="${CSS.escape(key)}"]`);
  if (!(cell instanceof HTMLElement)) return;
  cell.scrollIntoView({ block: "center" });
  cell.focus({ preventScroll: true });
}
