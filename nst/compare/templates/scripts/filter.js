/** The filter of runs, for the page; `nst/compare/filter.py` is the command line's. docs/compare.md has the grammar. */

const TEXT_KEYS = ["name", "status", "experiment", "sweep", "label"];
const WORD = /^([^=<>]+)([=<>])(.*)$/s;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The condition of a word such as `init=noise,content`, `loss<20` or `cat`. @param {string} word @returns {Condition} */
export function parse(word) {
  const [, key, sign, text] = WORD.exec(word) ?? [];
  if (!key) return { keys: TEXT_KEYS, sign: "=", patterns: [/[*?]/.test(word) ? word : `*${word}*`] };
  if (sign !== "=") return { keys: [key], sign, patterns: [text] };
  if (text.startsWith("[")) return { keys: [key], sign, patterns: [text.replaceAll(" ", "")] }; // a whole list
  return { keys: [key], sign, patterns: [text, ...text.split(",")] }; // a value may contain commas
}

/** @param {Condition} condition @param {Facts} facts */
export function matches({ keys, sign, patterns }, facts) {
  const texts = keys.flatMap((key) => facts.get(key) ?? []).concat(
    keys.map((key) => facts.get(key)).filter(Array.isArray).map((list) => `[${list.join(",")}]`));
  return texts.some((text) => patterns.some((pattern) => holds(sign, text, pattern)));
}

/** @param {string} sign @param {string} text @param {string} pattern */
function holds(sign, text, pattern) {
  const [value, bound] = [number(text), number(pattern)];
  if (sign !== "=") return sign === "<" ? value < bound : value > bound;
  const source = pattern.toLowerCase().replace(/[\\^$.|+()[\]{}]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return value === bound || new RegExp(`^${source}$`, "su").test(text.toLowerCase());
}

/** The number that a text is; NaN, which equals no number, if it is none. @param {string} text */
export const number = (text) => (NUMBER.test(text) ? Number(text) : NaN);
