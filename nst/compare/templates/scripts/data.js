/** The runs: takes the data, finds a run, and reads a value of it. */
import { number } from "nst/filter";
import { state } from "nst/state";

/** The facts of a run: its own ones, and those that all runs share. @param {RunData["facts"]} own @param {Map<string, string | string[]>} shared @returns {Facts} */
const together = (own, shared) => ({
  get: (key) => (Object.hasOwn(own, key) ? own[key] : shared.get(key)),
  has: (key) => Object.hasOwn(own, key) || shared.has(key),
});

/** @param {Data} data */
export function takeData(data) {
  state.data = data;
  const shared = new Map(Object.entries(data.shared));
  state.runs = data.runs.map((run) => {
    const facts = together(run.facts, shared);
    const [name, status, label] = ["name", "status", "label"].map((key) => String(facts.get(key)));
    return { ...run, facts, name, status, label };
  });
}

/** @param {string} key */
export const byKey = (key) => state.runs.find((run) => run.key === key);

/** A value as shown. @param {Run} run @param {string} key */
export function textOf(run, key) {
  const value = run.facts.get(key) ?? "–";
  return Array.isArray(value) ? value.join(", ") : value;
}

/** A value as a number; undefined if it is none. @param {Run} run @param {string} key */
export function numberOf(run, key) {
  const value = number(textOf(run, key));
  return Number.isNaN(value) ? undefined : value;
}

/** The keys in which runs differ, with their values in the order of the runs. */
export function varying(runs = state.shown) {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  for (const key of state.data.keys) {
    const values = new Set(runs.map((run) => textOf(run, key)));
    if (values.size > 1) found.set(key, [...values]);
  }
  return found;
}
