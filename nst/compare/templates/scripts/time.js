/** The places of the slider, and what a run has there. */
import { state, view } from "nst/state";

export function findPositions() {
  const key = view.by === "step" ? "steps" : "seconds";
  const times = state.shown.flatMap((run) => run.filmstrip?.[key] ?? []);
  const last = times.reduce((one, other) => Math.max(one, other), 0);
  state.positions = view.by === "step" && times.length ? [...new Set(times)].sort((a, b) => a - b)
    : last > 0 ? Array.from({ length: 101 }, (_, index) => (last * index) / 100) : [0];
}

/** Index of the slider's place. */
export const position = () => Math.max(state.positions.findLastIndex((value) => value <= view.at), 0);

/** Index of the snapshot that is shown of a run: the last one not after the slider. @param {Run} run */
export function frameOf(run) {
  if (!run.filmstrip) return 0;
  const at = position() === state.positions.length - 1 ? Infinity : state.positions[position()];
  const times = view.by === "step" ? run.filmstrip.steps : run.filmstrip.seconds;
  return Math.max(times.findLastIndex((value) => value <= at), 0);
}

/** Step of the snapshot that is shown of a run. @param {Run} run */
export const stepOf = (run) => run.filmstrip?.steps[frameOf(run)] ?? 0;

/** A loss at that step, or at the last one before it that the page has. @param {Run} run @param {string} name */
export function lossAt(run, name = "loss/total") {
  const { step: steps = [], [name]: losses = [] } = run.curves;
  if (!run.filmstrip) return undefined;
  const at = stepOf(run);
  return losses[steps.findLastIndex((step) => Number(step) <= at)] ?? undefined;
}

/** A number as shown, to three digits. @param {number} [value] */
export function digits(value) {
  if (value === undefined) return "–";
  return Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
    ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}
