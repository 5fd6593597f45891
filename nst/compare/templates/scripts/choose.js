/** Which runs are shown, and in which order. */
import { byKey, numberOf, textOf } from "nst/data";
import { matches, parse } from "nst/filter";
import { state, view } from "nst/state";

/** Chooses the runs that match the filter, in order, and pinned ones before them: the first `view.most` of them. */
export function choose() {
  const conditions = view.filter.split(/\s+/).filter(Boolean).map(parse);
  const pinned = view.pins.map(byKey).filter((run) => run !== undefined);
  const others = state.runs.filter((run) => !pinned.includes(run) && conditions.every((each) => matches(each, run.facts)));
  const matching = [...pinned, ...(view.sort ? others.sort(order) : others)];
  state.matching = matching.length;
  state.shown = matching.slice(0, Math.max(view.most, pinned.length, 1));
}

/** @param {Run} one @param {Run} other */
function order(one, other) {
  const falling = view.sort.startsWith("-");
  const key = falling ? view.sort.slice(1) : view.sort;
  if (!one.facts.has(key) || !other.facts.has(key)) return Number(other.facts.has(key)) - Number(one.facts.has(key));
  const [x, y] = [numberOf(one, key), numberOf(other, key)];
  const rising = x !== undefined && y !== undefined
    ? x - y : textOf(one, key).localeCompare(textOf(other, key), "en", { numeric: true });
  return falling ? -rising : rising;
}
